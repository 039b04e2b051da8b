select forecast.steps, count(*) as order_count
from {{ ref('orders') }} as orders
cross join ({{ count_slowly() }}) as forecast
group by all
