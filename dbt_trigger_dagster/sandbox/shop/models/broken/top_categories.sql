select category, revenue
from {{ ref('revenue_by_category') }}
order by revenue desc
limit 3
