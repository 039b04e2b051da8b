select
    customers.customer_id,
    customers.customer_name,
    countries.country_name,
    count(orders.order_id) as order_count,
    min(orders.order_date) as first_order_date,
    max(orders.order_date) as last_order_date,
    coalesce(sum(orders.amount), 0) as lifetime_amount
from {{ ref('stg_customers') }} as customers
inner join {{ ref('countries') }} as countries using (country_code)
left join {{ ref('orders') }} as orders using (customer_id)
group by all
