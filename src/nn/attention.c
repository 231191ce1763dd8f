/* nn/attention.c - attention of several heads, and its cache of keys and values. */
#include "nn/layer.h"

/* [N, T, width] -> [N, heads, T, width / heads] */
static nacre_tensor *split_heads(nacre_tensor *x, int64_t heads)
{
    int64_t batch = nacre_tensor_dim(x, 0), length = nacre_tensor_dim(x, 1), width = nacre_tensor_dim(x, 2);
    return nacre_swap_axes(nacre_reshape(x, NACRE_SHAPE(batch, length, heads, width / heads)), 1, 2);
}

/* and back */
static nacre_tensor *join_heads(nacre_tensor *x)
{
    int64_t batch = nacre_tensor_dim(x, 0), width = nacre_tensor_dim(x, 1) * nacre_tensor_dim(x, 3);
    return nacre_reshape(nacre_swap_axes(x, 1, 2), NACRE_SHAPE(batch, nacre_tensor_dim(x, 2), width));
}

static bool fits(const char *layer, nacre_tensor *x, int64_t heads)
{
    char text[NACRE_SHAPE_TEXT_SIZE];
    if (!x) return false;
    if (nacre_tensor_rank(x) == 3 && heads > 0 && nacre_tensor_dim(x, 2) % heads == 0) return true;
    nacre_fail(nacre_graph_context(nacre_tensor_graph(x)), NACRE_ERROR_SHAPE,
               "%s: input is %s, expected [N, T, width] with a width that divides into %lld heads", layer,
               nacre_shape_text(nacre_tensor_shape(x), text), (long long)heads);
    return false;
}

nacre_tensor *nacre_attend(nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, int64_t heads, nacre_tensor *mask,
                           bool causal)
{
    if (!fits("attend", q, heads) || !fits("attend", k, heads) || !fits("attend", v, heads)) return NULL;
    return nacre_attention_of_heads(q, k, v, heads, mask, causal, 0);
}

/* ---- the cache ---- */

/* The entry "key_cache" or "value_cache" [N, heads, capacity, ...] with `rows` written from `position` on. */
static nacre_tensor *remember(nacre_scope scope, const char *name, nacre_tensor *rows, nacre_tensor *position,
                              int64_t capacity)
{
    nacre_shape shape = nacre_tensor_shape(rows);
    shape.dims[2] = capacity;
    return nacre_assign_slice(nc_state_entry(scope, name, nacre_tensor_dtype(rows), shape), rows, position, 2);
}

nacre_tensor *nacre_attend_cached(nacre_scope scope, nacre_tensor *q, nacre_tensor *k, nacre_tensor *v, int64_t heads,
                                  nacre_tensor *position, int64_t capacity)
{
    const char *const name = "attend_cached";
    if (!position || !fits(name, q, heads) || !fits(name, k, heads) || !fits(name, v, heads)) return NULL;
    const int64_t length = nacre_tensor_dim(q, 1);
    if (length > capacity) {
        nacre_fail(nacre_graph_context(scope.graph), NACRE_ERROR_SHAPE,
                   "attend_cached: %lld positions do not fit into a capacity of %lld", (long long)length,
                   (long long)capacity);
        return NULL;
    }
    q = split_heads(q, heads);
    k = remember(scope, "key_cache", split_heads(k, heads), position, capacity);
    v = remember(scope, "value_cache", split_heads(v, heads), position, capacity);
    nacre_tensor *end = nacre_add_scalar(position, (double)length);
    return join_heads(nacre_prefix_attention(q, k, v, end, true, 0));
}

/* ---- the layer ---- */

nacre_tensor *nacre_multi_head_attention(nacre_scope scope, nacre_tensor *x, int64_t heads,
                                         const nacre_attention_options *options)
{
    static const nacre_attention_options defaults;
    if (!options) options = &defaults;
    if (!fits("multi_head_attention", x, heads)) return NULL;
    int64_t width = nacre_tensor_dim(x, 2);
    nacre_init xavier = {NACRE_INIT_XAVIER_UNIFORM, 1, 0}, zeros = {NACRE_INIT_CONSTANT, 0, 0};
    nacre_tensor *weight = nacre_parameter(scope, "in_proj_weight", NACRE_SHAPE(3 * width, width), xavier);
    nacre_tensor *bias = NULL, *part[3];
    if (!options->no_bias && !(bias = nacre_parameter(scope, "in_proj_bias", NACRE_SHAPE(3 * width), zeros)))
        return NULL;
    if (nacre_split(nacre_linear_with(x, weight, bias), 2, NULL, 3, part)) return NULL;
    nacre_tensor *y =
        options->position
            ? nacre_attend_cached(scope, part[0], part[1], part[2], heads, options->position, options->capacity)
            : nacre_attend(part[0], part[1], part[2], heads, options->mask, options->causal);
    nacre_linear_options out = {.no_bias = options->no_bias, .bias = zeros};
    return nacre_linear(nacre_in(scope, "out_proj"), y, width, &out);
}
