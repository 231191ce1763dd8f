/* core/pass_precision.c - mixed precision: which nodes of an f32 graph compute in 16 bits, and the casts between.
 *
 * A graph is built in f32 and stays f32 for its owner: inputs, outputs, parameters, losses, gradients of parameters and
 * every state change keep their type. Between them each operation belongs to one of four classes, the lists of
 * torch.autocast:
 *
 *     narrow    products, convolutions, attention: operands are rounded to 16 bits, sums are f32
 *     wide      exponentials, powers, sums, probabilities, losses: operands are widened, unless a kernel reads 16 bits
 *               and computes in f32; results are f32
 *     norms     their data in the type in which it comes, statistics and parameters in f32
 *     follow    everything else: 16 bits where all its operands are, f32 where one is f32; numbers do not count
 *
 * The pass runs on the whole step, after differentiation. So gradients, ordinary nodes as they are, fall under the same
 * lists; what forward and backward share is cast once; and a product whose readers are all f32 (the gradient of a
 * weight on its way to the optimizer, the logits on their way to the loss) leaves its f32 sums unrounded.
 *
 * Parameters that are stored in 16 bits and widened by the builder are taken for narrow: products read them as they
 * lie.
 *
 * Where no fast kernel takes a node in 16 bits but one takes it in f32, it runs in f32 between casts: slower than it
 * could be, never as slow as the reference.
 */
#include "core/context.h"
#include "core/kernel.h"
#include "core/pass.h"

#include <nacre/ops.h>

#include <string.h>

typedef enum class { FOLLOW, NARROW, WIDE, NORM } class;

/* Which operands and outputs of a norm are data ('d'); the others stay f32. */
static const struct rule {
    const char *op;
    class class;
    const char *data;
} RULES[] = {
    {"matmul", NARROW, "ddpp>d"},
    {"conv", NARROW, "ddpp>d"},
    {"conv_backward_data", NARROW, "dd>d"},
    {"conv_backward_weight", NARROW, "dd>d"},
    {"attention", NARROW, "dddp>dp"},
    {"attention_backward", NARROW, "dddddpp>ddd"},
    {"lstm", NARROW, "dddpp>d"},
    {"gru", NARROW, "dddpp>d"},
    {"batch_norm", NORM, "dpp>dpp"},
    {"batch_norm_backward", NORM, "ddppp>dpp"},
    {"batch_norm_inference", NORM, "dpppp>d"},
    {"layer_norm", NORM, "dpp>dpp"},
    {"layer_norm_backward", NORM, "ddppp>dpp"},
    {"rms_norm", NORM, "dp>dp"},
    {"rms_norm_backward", NORM, "ddpp>dp"},
    {"group_norm", NORM, "dpp>dpp"},
    {"group_norm_backward", NORM, "ddppp>dpp"},
    {"exp", WIDE, NULL},
    {"expm1", WIDE, NULL},
    {"log", WIDE, NULL},
    {"log1p", WIDE, NULL},
    {"pow", WIDE, NULL},
    {"reciprocal", WIDE, NULL},
    {"rsqrt", WIDE, NULL},
    {"acos", WIDE, NULL},
    {"asin", WIDE, NULL},
    {"cosh", WIDE, NULL},
    {"sinh", WIDE, NULL},
    {"tan", WIDE, NULL},
    {"softplus", WIDE, NULL},
    {"sum", WIDE, NULL},
    {"mean", WIDE, NULL},
    {"prod", WIDE, NULL},
    {"var", WIDE, NULL},
    {"std", WIDE, NULL},
    {"norm", WIDE, NULL},
    {"logsumexp", WIDE, NULL},
    {"cumsum", WIDE, NULL},
    {"cumprod", WIDE, NULL},
    {"softmax", WIDE, NULL},
    {"softmax_backward", WIDE, NULL},
    {"log_softmax", WIDE, NULL},
    {"log_softmax_backward", WIDE, NULL},
    {"cross_entropy", WIDE, NULL},
    {"cross_entropy_backward", WIDE, NULL},
    {"global_norm", WIDE, NULL},
};

static const struct rule *rule_of(const nacre_op *op)
{
    static const struct rule follow = {"", FOLLOW, NULL};
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++)
        if (!strcmp(RULES[i].op, op->name)) return &RULES[i];
    return &follow;
}

/* ---- tensors in two types ---------------------------------------------------------------------------------------- */

/* A tensor of the old graph in the new one: in f32, in 16 bits, or first in one and then, when asked for, in both.
 *
 * What the gradient reads of the forward part is kept until then, so where it is taken for narrow it is kept narrow:
 * f32 that the gradient needs of it is made anew, and not merged with what the forward part had. */
struct forms {
    nacre_tensor *wide, *narrow, *wide_again;
    bool is_narrow;     /* what operations that follow take it for */
    bool read_narrowly; /* has readers that are not f32 whatever comes */
};

struct precision {
    nc_rewrite rewrite;
    struct forms *forms; /* per tensor of the old graph, like rewrite.map */
    nacre_dtype narrow;
    bool backward; /* the node that is placed belongs to the gradient */
};

static struct forms *forms_of(const struct precision *p, const nacre_tensor *old)
{
    return &p->forms[p->rewrite.base[old->node->index] + old->output];
}

static nacre_tensor *cast(const struct precision *p, const nacre_tensor *old, nacre_tensor *tensor, nacre_dtype dtype)
{
    nacre_graph_set_path(p->rewrite.to, old->node->path);
    return nacre_cast(tensor, dtype);
}

static nacre_tensor *widened_again(const struct precision *p, const nacre_tensor *old, struct forms *forms)
{
    if (forms->wide_again) return forms->wide_again;
    if (!forms->narrow) forms->narrow = cast(p, old, forms->wide, p->narrow);
    forms->wide_again = cast(p, old, forms->narrow, old->dtype);
    if (forms->wide_again) forms->wide_again->node->repetition = 1;
    return forms->wide_again;
}

/* The value in the type it has in the old graph, or in 16 bits if that is f32 and `narrow` asks for it. */
static nacre_tensor *in_form(const struct precision *p, const nacre_tensor *old, bool narrow)
{
    if (!old) return NULL;
    struct forms *forms = forms_of(p, old);
    if (narrow && old->dtype == NACRE_F32) {
        if (!forms->narrow) forms->narrow = cast(p, old, forms->wide, p->narrow);
        return forms->narrow;
    }
    if (forms->is_narrow && p->backward && !old->node->backward) return widened_again(p, old, forms);
    if (!forms->wide) forms->wide = cast(p, old, forms->narrow, old->dtype);
    return forms->wide;
}

/* ---- what a node takes and gives --------------------------------------------------------------------------------- */

/* Numbers and constants adapt to what they meet. */
static bool counts(const nacre_tensor *tensor)
{
    return tensor && tensor->dtype == NACRE_F32 && tensor->node->op != &nc_op_full && tensor->shape.rank > 0;
}

static bool is_data(const struct rule *rule, int index, bool output)
{
    if (!rule->data) return true;
    const char *split = strchr(rule->data, '>');
    const char *letters = output ? split + 1 : rule->data;
    const int count = output ? (int)strlen(letters) : (int)(split - letters);
    return index < count && letters[index] == 'd';
}

static bool all_narrow(const struct precision *p, const nc_node *node)
{
    int found = 0;
    for (int i = 0; i < node->input_count; i++) {
        if (!counts(node->inputs[i])) continue;
        if (!forms_of(p, node->inputs[i])->is_narrow) return false;
        found++;
    }
    return found > 0;
}

/* Norms follow the operand that is normalised: the first of a forward operation, the second of a backward one. */
static bool norm_is_narrow(const struct precision *p, const nc_node *node, const struct rule *rule)
{
    const nacre_tensor *x = node->inputs[is_data(rule, 1, false) ? 1 : 0];
    return x->dtype == NACRE_F32 && forms_of(p, x)->is_narrow;
}

static bool wants_narrow(const struct precision *p, const nc_node *node, const struct rule *rule)
{
    switch (rule->class) {
    case NARROW: return node->outputs[0].dtype == NACRE_F32;
    case NORM: return norm_is_narrow(p, node, rule);
    case FOLLOW:
        if (node->op->flags & NACRE_OP_ALIAS) return forms_of(p, node->inputs[0])->is_narrow;
        return all_narrow(p, node);
    case WIDE: break;
    }
    return false;
}

/* Leaves, state changes and explicit casts keep what the builder chose. */
static bool is_fixed(const nc_node *node)
{
    return node->op->flags & (NACRE_OP_LEAF | NACRE_OP_STATEFUL) || !strcmp(node->op->name, "cast");
}

/* How a node is tried: which operands are narrow, and which outputs. */
struct form {
    enum { AS_THEY_ARE, DATA_NARROW, ALL_NARROW, ALL_WIDE } operands;
    bool narrow_output;
};

static nacre_tensor *operand_in_form(const struct precision *p, const nc_node *node, const struct rule *rule, int index,
                                     const struct form *form)
{
    const nacre_tensor *old = node->inputs[index];
    if (!old) return NULL;
    const bool adapts = old->node->op == &nc_op_full || old->shape.rank == 0;
    switch (form->operands) {
    case AS_THEY_ARE: return in_form(p, old, forms_of(p, old)->is_narrow && is_data(rule, index, false));
    case DATA_NARROW: return in_form(p, old, is_data(rule, index, false) && !adapts);
    case ALL_NARROW: return in_form(p, old, true);
    case ALL_WIDE: break;
    }
    return in_form(p, old, false);
}

/* The node in this form, not yet in the graph. Casts that it needs are; those of a form that is not taken die unused.
 */
static nc_node *shaped(const struct precision *p, const nc_node *node, const struct rule *rule, const struct form *form)
{
    nacre_graph *to = p->rewrite.to;
    nacre_tensor **inputs = nc_arena_take(&to->arena, sizeof *inputs * (size_t)(node->input_count + 1));
    if (!inputs) return NULL;
    for (int i = 0; i < node->input_count; i++) inputs[i] = operand_in_form(p, node, rule, i, form);
    nc_node *copy = nc_clone_node(to, node, inputs);
    if (!copy) return NULL;
    to->node_count--;
    for (int i = 0; form->narrow_output && i < copy->output_count; i++)
        if (copy->outputs[i].dtype == NACRE_F32 && is_data(rule, i, true)) copy->outputs[i].dtype = p->narrow;
    return copy;
}

static bool has_kernel(const struct precision *p, const nc_node *node)
{
    nacre_graph *to = p->rewrite.to;
    if (!node || node->op->flags & NACRE_OP_ALIAS) return node != NULL;
    for (int layout = NACRE_LAYOUT_CHANNELS_LAST; layout >= NACRE_LAYOUT_PLAIN; layout--) {
        nacre_node_info info;
        if (!nc_node_info(&to->arena, to->context, node, layout, &info)) return false;
        if (nc_choose_kernel(to->context, &info)) return true;
    }
    return false;
}

/* Appends the node and notes the forms of its outputs; `narrow`: what follows takes them for narrow. */
static bool take(struct precision *p, const nc_node *node, nc_node *copy, bool narrow)
{
    nacre_graph *to = p->rewrite.to;
    if (!copy) return false;
    copy->index = to->node_count;
    to->nodes[to->node_count++] = copy;
    for (int i = 0; i < node->output_count; i++) {
        const nacre_tensor *old = &node->outputs[i];
        nacre_tensor *tensor = &copy->outputs[i];
        const bool is_narrow = old->dtype == NACRE_F32 && tensor->dtype == p->narrow;
        struct forms *forms = forms_of(p, old);
        forms->wide = is_narrow ? NULL : tensor;
        forms->narrow = is_narrow || old->dtype == p->narrow ? tensor : NULL;
        forms->is_narrow = is_narrow || (narrow && old->dtype == NACRE_F32 && is_data(rule_of(node->op), i, true));
    }
    return true;
}

/* The forms to try, best first; returns how many. `*narrow`: what follows takes the results for narrow. */
static int list_forms(const struct precision *p, const nc_node *node, const struct rule *rule, struct form forms[2],
                      bool *narrow)
{
    int count = 0;
    *narrow = wants_narrow(p, node, rule);
    if (node->op->flags & NACRE_OP_ALIAS) {
        if (*narrow) forms[count++] = (struct form){ALL_NARROW, true};
    } else if (*narrow && rule->class == NARROW) {
        *narrow = false;
        for (int i = 0; i < node->output_count; i++) *narrow |= forms_of(p, &node->outputs[i])->read_narrowly;
        if (!*narrow) forms[count++] = (struct form){DATA_NARROW, false};
        forms[count++] = (struct form){DATA_NARROW, true};
    } else if (*narrow) {
        forms[count++] = (struct form){DATA_NARROW, true};
        if (rule->class == FOLLOW) forms[count++] = (struct form){ALL_NARROW, true};
    } else if (rule->class != NORM) {
        forms[count++] = (struct form){AS_THEY_ARE, false};
    }
    return count;
}

/* What was narrow before it was widened is as good as what it became. */
static void note_widened(const struct precision *p, const nc_node *node)
{
    if (strcmp(node->op->name, "cast") != 0 || node->outputs[0].dtype != NACRE_F32 ||
        node->inputs[0]->dtype != p->narrow)
        return;
    struct forms *forms = forms_of(p, &node->outputs[0]);
    forms->narrow = forms_of(p, node->inputs[0])->wide;
    forms->is_narrow = true;
}

/* The first form that a fast kernel takes, else f32 between casts; where that would run on the reference too, the
 * reference may as well compute in 16 bits. */
static bool place(struct precision *p, const nc_node *node)
{
    const struct rule *rule = rule_of(node->op);
    const struct form wide = {ALL_WIDE, false};
    struct form forms[2];
    bool narrow = false;
    p->backward = node->backward;
    const int count = is_fixed(node) ? 0 : list_forms(p, node, rule, forms, &narrow);
    for (int i = 0; i < count; i++) {
        nc_node *copy = shaped(p, node, rule, &forms[i]);
        if (!copy) return false;
        if (has_kernel(p, copy)) return take(p, node, copy, narrow);
    }
    nc_node *copy = shaped(p, node, rule, &wide);
    if (!copy) return false;
    if (count > 0 && forms[0].operands != AS_THEY_ARE && !has_kernel(p, copy))
        copy = shaped(p, node, rule, &forms[rule->class == FOLLOW ? count - 1 : 0]);
    return take(p, node, copy, narrow);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* A 16-bit copy of what a state change may write is made anew afterwards. */
static void forget_copies(struct precision *p, const nc_node *node)
{
    if (!(node->op->flags & NACRE_OP_STATEFUL)) return;
    for (int i = 0; i < node->input_count; i++) {
        const nacre_tensor *in = node->inputs[i];
        if (in && in->node->op->flags & NACRE_OP_LEAF && in->dtype == NACRE_F32) forms_of(p, in)->narrow = NULL;
    }
}

static void find_narrow_readers(struct precision *p)
{
    const nacre_graph *graph = p->rewrite.from;
    for (int i = 0; i < graph->node_count; i++) {
        const nc_node *node = graph->nodes[i];
        if (is_fixed(node) || rule_of(node->op)->class == WIDE) continue;
        for (int k = 0; k < node->input_count; k++)
            if (node->inputs[k]) forms_of(p, node->inputs[k])->read_narrowly = true;
    }
}

/* Results leave a plan in the type they have in the graph, as what follows sees them: rounded, where it is narrow. */
static void map_wanted(struct precision *p)
{
    const nacre_graph *from = p->rewrite.from;
    for (int i = 0; i < from->wanted_count; i++) {
        const nacre_tensor *old = from->wanted[i];
        const bool rounded = forms_of(p, old)->is_narrow;
        nacre_tensor *tensor = in_form(p, old, rounded);
        nc_map(&p->rewrite, old, rounded ? cast(p, old, tensor, old->dtype) : tensor);
    }
}

nacre_graph *nc_pass_precision(nacre_graph *graph)
{
    nacre_context *context = graph->context;
    struct precision p = {.narrow = graph->precision};
    if (nc_rewrite_begin(&p.rewrite, graph)) {
        const int last = graph->node_count - 1;
        const int tensors = last < 0 ? 0 : p.rewrite.base[last] + graph->nodes[last]->output_count;
        p.forms = nacre_allocate(context, sizeof *p.forms * (size_t)(tensors + 1));
        if (p.forms) find_narrow_readers(&p);
        for (int i = 0; p.forms && i < graph->node_count && nacre_check(context) == NACRE_OK; i++) {
            if (!place(&p, graph->nodes[i])) break;
            note_widened(&p, graph->nodes[i]);
            forget_copies(&p, graph->nodes[i]);
        }
        if (p.forms && nacre_check(context) == NACRE_OK) map_wanted(&p);
    }
    nacre_release(context, p.forms);
    return nc_rewrite_end(&p.rewrite);
}
