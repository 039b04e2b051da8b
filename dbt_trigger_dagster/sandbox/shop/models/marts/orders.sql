select
    orders.order_id,
    orders.customer_id,
    orders.order_status,
    orders.order_date,
    count(*) as item_count,
    sum(items.amount) as amount
from {{ ref('stg_orders') }} as orders
inner join {{ ref('stg_order_items') }} as items using (order_id)
group by all
