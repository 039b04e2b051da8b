select
    items.id as order_item_id,
    items.order_id,
    items.product_id,
    items.quantity,
    cast(items.quantity * products.unit_price as decimal(12, 2)) as amount
from {{ source('shop_raw', 'order_items') }} as items
inner join {{ ref('products') }} as products using (product_id)
