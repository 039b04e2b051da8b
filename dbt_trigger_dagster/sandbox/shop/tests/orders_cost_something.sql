-- An order without a price is a mistake in the export.
select order_id
from {{ ref('orders') }}
where amount <= 0
