select
    id as customer_id,
    name as customer_name,
    lower(email) as email,
    country as country_code,
    signed_up_at
from {{ source('shop_raw', 'customers') }}
