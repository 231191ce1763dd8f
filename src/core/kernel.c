/* core/kernel.c - choosing a kernel for a node. */
#include "core/context.h"
#include "core/kernel.h"

#include <string.h>

enum { LOCAL_OPERANDS = 16 };

nacre_view nc_view(const nacre_tensor *tensor)
{
    nacre_view view = {.shape.rank = -1};
    if (!tensor) return view;
    view.dtype = tensor->dtype;
    view.shape = tensor->shape;
    int rank = view.shape.rank;
    const int64_t *dims = view.shape.dims;
    if (tensor->channels_last && rank == 4) {
        view.strides[1] = 1;
        view.strides[3] = dims[1];
        view.strides[2] = dims[1] * dims[3];
        view.strides[0] = dims[1] * dims[3] * dims[2];
        return view;
    }
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        view.strides[i] = stride;
        stride *= dims[i];
    }
    return view;
}

bool nc_follows_layout(const nacre_op *op, int operand, bool output)
{
    if (!op->layouts) return (op->flags & NACRE_OP_ELEMENTWISE) != 0;
    const char *split = strchr(op->layouts, '>');
    const char *letters = output ? split + 1 : op->layouts;
    int count = output ? (int)strlen(letters) : (int)(split - letters);
    return count > 0 && letters[operand < count ? operand : count - 1] == 'd';
}

bool nc_node_info(nc_arena *arena, const nacre_context *context, const nc_node *node, int layout, nacre_node_info *info)
{
    int count = node->input_count + node->output_count;
    nacre_view *views = nc_arena_take(arena, sizeof *views * (size_t)count);
    if (!views) return false;
    for (int i = 0; i < count; i++) {
        bool output = i >= node->input_count;
        int operand = output ? i - node->input_count : i;
        const nacre_tensor *tensor = output ? &node->outputs[operand] : node->inputs[operand];
        if (layout != NC_LAYOUT_AS_IS && tensor) {
            nacre_tensor as_if = *tensor;
            as_if.channels_last = layout == NACRE_LAYOUT_CHANNELS_LAST && tensor->shape.rank == 4 &&
                                  nc_follows_layout(node->op, operand, output);
            views[i] = nc_view(&as_if);
        } else {
            views[i] = nc_view(tensor);
        }
    }
    *info = (nacre_node_info){.op = node->op,
                              .attributes = node->attributes,
                              .inputs = views,
                              .input_count = node->input_count,
                              .outputs = views + node->input_count,
                              .output_count = node->output_count,
                              .chain = node->chain,
                              .threads = nacre_threads(context),
                              .deterministic = context->deterministic};
    return true;
}

static bool is_channels_last(const nacre_view *view)
{
    return view->shape.rank == 4 && view->strides[1] == 1 && view->shape.dims[1] > 1 &&
           (view->shape.dims[2] > 1 || view->shape.dims[3] > 1);
}

static bool any_channels_last(const nacre_node_info *info)
{
    for (int i = 0; i < info->input_count; i++)
        if (is_channels_last(&info->inputs[i])) return true;
    for (int i = 0; i < info->output_count; i++)
        if (is_channels_last(&info->outputs[i])) return true;
    return false;
}

static void note_float(const nacre_view *view, bool *wide, bool *narrow)
{
    if (view->shape.rank < 0) return;
    *wide |= view->dtype == NACRE_F32 || view->dtype == NACRE_F64;
    *narrow |= view->dtype == NACRE_BF16 || view->dtype == NACRE_F16;
}

static bool mixes_floats(const nacre_node_info *info)
{
    bool wide = false, narrow = false;
    for (int i = 0; i < info->input_count; i++) note_float(&info->inputs[i], &wide, &narrow);
    for (int i = 0; i < info->output_count; i++) note_float(&info->outputs[i], &wide, &narrow);
    return wide && narrow;
}

const char *nc_refusal(const nacre_context *context, const nacre_kernel *kernel, const nacre_node_info *info)
{
    if (context->forced_variant && !strcmp(context->forced_op, info->op->name) &&
        strcmp(context->forced_variant, kernel->variant))
        return "another variant is forced";
    if (context->deterministic && kernel->flags & NACRE_KERNEL_NONDETERMINISTIC) return "not deterministic";
    if (!(kernel->flags & NACRE_KERNEL_MIXED) && mixes_floats(info)) return "takes floats of one type only";
    if (!(kernel->flags & (NACRE_KERNEL_ANY_LAYOUT | NACRE_KERNEL_CHANNELS_LAST)) && any_channels_last(info))
        return "needs plain memory order";
    return kernel->can ? kernel->can(info) : NULL;
}

const nacre_kernel *nacre_kernel_at(const nacre_context *context, const nacre_op *op, int index)
{
    if (!context || !op || context->device == NACRE_DEVICE_REFERENCE) return NULL;
    int count;
    const nacre_kernel *const *kernels = nc_cpu_kernels(context->instruction_set, &count);
    for (int i = 0; i < count; i++)
        if (!strcmp(kernels[i]->op, op->name) && index-- == 0) return kernels[i];
    return NULL;
}

const nacre_kernel *nc_choose_kernel(const nacre_context *context, const nacre_node_info *info)
{
    const nacre_kernel *kernel, *slower = NULL;
    for (int i = 0; (kernel = nacre_kernel_at(context, info->op, i)); i++) {
        if (nc_refusal(context, kernel, info)) continue;
        if (!kernel->slower || !kernel->slower(info)) return kernel;
        if (!slower) slower = kernel;
    }
    return slower;
}

void nacre_force_variant(nacre_context *context, const char *op, const char *variant)
{
    if (!context) return;
    context->forced_op = op;
    context->forced_variant = variant;
}
