/* ops/window.c - windows that slide over the spatial axes. */
#include "ops/window.h"

/* Beyond this no product of two overflows. */
static const int64_t LARGEST = (int64_t)1 << 30;

static nacre_status check_range(nacre_shape_call *call, const char *name, int64_t value, int64_t least)
{
    if (value >= least && value <= LARGEST) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "%s is %lld, expected at least %lld%s", name, (long long)value,
                            (long long)least, value > LARGEST ? " and at most 2^30" : "");
}

nacre_status nc_spread(nacre_shape_call *call, const char *name, int64_t *words, int axes, const int64_t *fallback,
                       int64_t least)
{
    int64_t given = words[0];
    if ((given == 0 && !fallback) || (given > 1 && given != axes))
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT,
                                "%s has %lld values, expected one or one for each of %d axes", name, (long long)given,
                                axes);
    for (int i = axes - 1; i >= 0; i--) {
        words[1 + i] = given == 0 ? fallback[i] : given == 1 ? words[1] : words[1 + i];
        nacre_status status = check_range(call, name, words[1 + i], least);
        if (status) return status;
    }
    words[0] = axes;
    return NACRE_OK;
}

static nacre_status complete_padding(nacre_shape_call *call, int64_t *words, int axes)
{
    static const int64_t none[NC_WINDOW_AXES] = {0};
    bool both_ends = words[0] == 2 * axes;
    if (!both_ends) {
        nacre_status status = nc_spread(call, "padding", words, axes, none, -LARGEST);
        if (status) return status;
        for (int i = 0; i < axes; i++) words[1 + axes + i] = words[1 + i];
    }
    words[0] = 2 * axes;
    for (int i = 0; i < 2 * axes; i++) {
        nacre_status status = check_range(call, "padding", words[1 + i], -LARGEST);
        if (status) return status;
    }
    return NACRE_OK;
}

nacre_status nc_window_complete(nacre_shape_call *call, int axes, const int64_t *kernel, bool stride_is_kernel)
{
    static const int64_t ones[NC_WINDOW_AXES] = {1, 1, 1};
    int64_t *words = call->attributes;
    const int64_t *stride = stride_is_kernel ? kernel : ones;
    for (int i = 0; i < axes; i++) {
        nacre_status status = check_range(call, "kernel", kernel[i], 1);
        if (status) return status;
    }
    nacre_status status = nc_spread(call, "stride", words + NC_WINDOW_STRIDE, axes, stride, 1);
    if (!status) status = nc_spread(call, "dilation", words + NC_WINDOW_DILATION, axes, ones, 1);
    return status ? status : complete_padding(call, words + NC_WINDOW_PADDING, axes);
}

void nc_window_words(int64_t *words, int axes, const int64_t *stride, const int64_t *padding, const int64_t *more,
                     const int64_t *dilation)
{
    if (axes < 1 || axes > NC_WINDOW_AXES) return; /* the shape rule will say so */
    words[NC_WINDOW_STRIDE] = words[NC_WINDOW_DILATION] = axes;
    words[NC_WINDOW_PADDING] = 2 * axes;
    for (int i = 0; i < axes; i++) {
        words[NC_WINDOW_STRIDE + 1 + i] = stride[i] ? stride[i] : 1;
        words[NC_WINDOW_DILATION + 1 + i] = dilation[i] ? dilation[i] : 1;
        words[NC_WINDOW_PADDING + 1 + i] = padding[i];
        words[NC_WINDOW_PADDING + 1 + axes + i] = padding[i] + more[i];
    }
}

nc_window nc_window_read(const int64_t *attributes, int axes, const int64_t *kernel)
{
    nc_window window = {.axes = axes};
    for (int i = 0; i < axes; i++) {
        window.kernel[i] = kernel[i];
        window.stride[i] = attributes[NC_WINDOW_STRIDE + 1 + i];
        window.dilation[i] = attributes[NC_WINDOW_DILATION + 1 + i];
        window.begin[i] = attributes[NC_WINDOW_PADDING + 1 + i];
        window.end[i] = attributes[NC_WINDOW_PADDING + 1 + axes + i];
    }
    return window;
}

int64_t nc_window_count(const nc_window *window, int axis, int64_t input)
{
    int64_t room = input + window->begin[axis] + window->end[axis] - nc_window_reach(window, axis);
    return room < 0 ? 0 : room / window->stride[axis] + 1;
}

nacre_status nc_need_spatial(nacre_shape_call *call, int index)
{
    nacre_shape shape = nacre_tensor_shape(call->inputs[index]);
    char text[NACRE_SHAPE_TEXT_SIZE];
    bool fits = shape.rank >= 3 && shape.rank <= 2 + NC_WINDOW_AXES;
    for (int i = 2; fits && i < shape.rank; i++) fits = shape.dims[i] <= LARGEST;
    if (fits) return NACRE_OK;
    return nacre_shape_fail(call, NACRE_ERROR_SHAPE,
                            "operand %d is %s, expected [N, C, ...] with 1 to 3 spatial axes of at most 2^30",
                            index + 1, nacre_shape_text(shape, text));
}
