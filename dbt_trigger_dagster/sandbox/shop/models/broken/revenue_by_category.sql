-- Broken on purpose: the column is "amount".
select
    products.category,
    sum(items.ammount) as revenue
from {{ ref('stg_order_items') }} as items
inner join {{ ref('products') }} as products using (product_id)
group by products.category
