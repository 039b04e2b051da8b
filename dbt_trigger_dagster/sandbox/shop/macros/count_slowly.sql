{#- A recursion cannot be spread over cores, so that it takes about as long on any machine. -#}
{% macro count_slowly(steps=8000000) %}
with recursive steps(step) as (
    select 1
    union all
    select step + 1 from steps where step < {{ steps }}
)

select max(step) as steps from steps
{% endmacro %}
