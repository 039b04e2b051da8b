select forecast.steps, previous.order_count
from {{ ref('forecast_revenue') }} as previous
cross join ({{ count_slowly() }}) as forecast
