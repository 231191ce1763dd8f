/* ops/interpolate.c - resizing planes: nearest element, or linear between the neighbours along each axis.
 *
 * With n elements in and m out, element i of the result lies at (i + 1/2) n / m - 1/2 of the input (at least 0), or
 * with align_corners at i (n - 1) / (m - 1); nearest takes floor(i n / m). A scale stands for m / n where it is given,
 * as in PyTorch. interpolate is linear in x, interpolate_backward is its adjoint.
 */
#include "ops/window.h"

#include <math.h>
#include <string.h>

enum { SIZE = 0, MODE = SIZE + 1 + NC_WINDOW_AXES, ALIGN_CORNERS, SCALE, WORDS };
enum { NEAREST, LINEAR }; /* modes */

/* ---- shape rules ---- */

static nacre_status check_planes(nacre_shape_call *call)
{
    nacre_status status = nc_need_float(call);
    if (!status) status = nc_need_spatial(call, 0);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    char text[NACRE_SHAPE_TEXT_SIZE];
    for (int i = 2; i < x.rank; i++)
        if (x.dims[i] < 1)
            return nacre_shape_fail(call, NACRE_ERROR_SHAPE, "the planes of %s are empty", nacre_shape_text(x, text));
    double scale = nacre_unword(call->attributes[SCALE]);
    if (!(scale >= 0 && scale <= 1e6))
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "scale is %g, expected more than 0", scale);
    if (call->attributes[ALIGN_CORNERS] && call->attributes[MODE] != LINEAR)
        return nacre_shape_fail(call, NACRE_ERROR_ARGUMENT, "align_corners is for mode=linear");
    return NACRE_OK;
}

static nacre_status set_result(nacre_shape_call *call)
{
    nacre_shape y = nacre_tensor_shape(call->inputs[0]);
    int64_t *size = call->attributes + SIZE;
    nacre_status status = nc_spread(call, "size", size, y.rank - 2, NULL, 1);
    memcpy(y.dims + 2, size + 1, sizeof(int64_t) * (size_t)(y.rank - 2));
    call->shapes[0] = y;
    call->dtypes[0] = nacre_tensor_dtype(call->inputs[0]);
    return status;
}

static nacre_status shape(nacre_shape_call *call)
{
    nacre_status status = check_planes(call);
    if (status) return status;
    nacre_shape x = nacre_tensor_shape(call->inputs[0]);
    double scale = nacre_unword(call->attributes[SCALE]);
    int64_t *size = call->attributes + SIZE;
    if (size[0] == 0 && scale > 0) {
        size[0] = x.rank - 2;
        for (int i = 0; i < x.rank - 2; i++) size[1 + i] = (int64_t)floor((double)x.dims[2 + i] * scale);
    }
    return set_result(call);
}

static nacre_status backward_shape(nacre_shape_call *call)
{
    nacre_status status = check_planes(call);
    return status ? status : set_result(call);
}

/* ---- gradient rules ---- */

static nacre_tensor *with_size_of(const nacre_op *op, nacre_tensor *x, nacre_tensor *like, const int64_t *attributes)
{
    int64_t words[WORDS];
    nacre_shape size = nacre_tensor_shape(like);
    memcpy(words, attributes, sizeof words);
    nc_put_ints(words + SIZE, size.dims + 2, size.rank - 2, NC_WINDOW_AXES);
    return nc_apply1(op, x, words);
}

static void gradient(nacre_gradient_call *call)
{
    call->input_grads[0] =
        with_size_of(&nc_op_interpolate_backward, call->output_grads[0], call->inputs[0], call->attributes);
}

static void backward_gradient(nacre_gradient_call *call)
{
    call->input_grads[0] = with_size_of(&nc_op_interpolate, call->output_grads[0], call->inputs[0], call->attributes);
}

/* ---- reference kernels ---- */

/* The input elements that a result is made of along one axis: `first` and the one after it, which gets `rest`. */
typedef struct source {
    int64_t first;
    double rest;
} source;

static source source_of(const int64_t *attributes, int64_t i, int64_t in, int64_t out)
{
    double scale = nacre_unword(attributes[SCALE]), at;
    if (attributes[MODE] == NEAREST) {
        int64_t first = scale > 0 ? (int64_t)floor((double)i / scale) : i * in / out;
        return (source){.first = first < in ? first : in - 1};
    }
    if (attributes[ALIGN_CORNERS])
        at = out > 1 ? (double)i * (double)(in - 1) / (double)(out - 1) : 0;
    else
        at = fmax(((double)i + 0.5) * (scale > 0 ? 1 / scale : (double)in / (double)out) - 0.5, 0);
    source result = {.first = (int64_t)floor(at)};
    if (result.first >= in - 1) return (source){.first = in - 1};
    result.rest = at - (double)result.first;
    return result;
}

/* Corner number `corner` of the cell around result `out`: its position, and its weight, which may be 0. */
static double corner_of(const int64_t *attributes, const nacre_shape *x, const nacre_shape *y, const int64_t *out,
                        int corner, int64_t *in)
{
    double weight = 1;
    for (int i = 2; i < x->rank; i++) {
        source s = source_of(attributes, out[i], x->dims[i], y->dims[i]);
        bool next = corner >> (i - 2) & 1;
        in[i] = s.first + (next && s.rest > 0 ? 1 : 0);
        weight *= next ? s.rest : 1 - s.rest;
    }
    return weight;
}

static int corners(const nacre_view *x)
{
    return 1 << (x->shape.rank - 2);
}

static void reference(const nacre_call *call)
{
    const nacre_view *x = &call->inputs[0], *y = &call->outputs[0];
    int64_t out[NACRE_MAX_RANK] = {0};
    if (nc_count(y) == 0) return;
    do {
        int64_t in[NACRE_MAX_RANK] = {out[0], out[1]};
        double sum = 0;
        for (int corner = 0; corner < corners(x); corner++) {
            double weight = corner_of(call->attributes, &x->shape, &y->shape, out, corner, in);
            if (weight != 0) sum += weight * nc_get(x, nc_offset(x, in));
        }
        nc_set(y, nc_offset(y, out), sum);
    } while (nc_next(&y->shape, out));
}

/* Each element of dx looks for itself among the corners of all results of its plane. */
static double collect(const nacre_call *call, const int64_t *position)
{
    const nacre_view *dy = &call->inputs[0], *dx = &call->outputs[0];
    nacre_shape plane = nc_spatial(&dy->shape);
    int64_t out[NACRE_MAX_RANK] = {position[0], position[1]}, in[NACRE_MAX_RANK];
    double sum = 0;
    do {
        for (int corner = 0; corner < corners(dy); corner++) {
            double weight = corner_of(call->attributes, &dx->shape, &dy->shape, out, corner, in);
            bool here = weight != 0;
            for (int i = 2; here && i < dx->shape.rank; i++) here = in[i] == position[i];
            if (here) sum += weight * nc_get(dy, nc_offset(dy, out));
        }
    } while (nc_next(&plane, out + 2));
    return sum;
}

static void backward_reference(const nacre_call *call)
{
    const nacre_view *dx = &call->outputs[0];
    int64_t position[NACRE_MAX_RANK] = {0};
    if (nc_count(dx) == 0) return;
    do nc_set(dx, nc_offset(dx, position), collect(call, position));
    while (nc_next(&dx->shape, position));
}

/* ---- descriptors ---- */

static const char *const CASES[] = {"x=2x3x4x5 size=8,10",
                                    "x=1x2x5x4 size=7,3",
                                    "x=1x2x7 size=4",
                                    "x=1x2x3x2x4 size=5,3,4",
                                    "x=2x3x4x5 size=8,10 mode=linear",
                                    "x=2x3x4x5 size=8,10 mode=linear align_corners=1",
                                    "x=1x2x5x4 size=7,3 mode=linear",
                                    "x=1x2x5x4 size=1,9 mode=linear align_corners=1",
                                    "x=1x2x7 size=4 mode=linear",
                                    "x=1x2x3x2x4 size=5,3,4 mode=linear",
                                    "x=1x1x1x1 size=3,2 mode=linear",
                                    "x=1x2x5x4 scale=2",
                                    "x=1x2x5x4 scale=1.7",
                                    "x=1x2x5x4 scale=1.7 mode=linear",
                                    "x=1x2x5x4 scale=0.45 mode=linear",
                                    "x=0x2x5x4 size=3",
                                    NULL};
static const char *const BACKWARD_CASES[] = {"dy=2x3x8x10 size=4,5",
                                             "dy=1x2x7x3 size=5,4",
                                             "dy=1x2x8x6 size=5,4 scale=1.7",
                                             "dy=2x3x8x10 size=4,5 mode=linear",
                                             "dy=2x3x8x10 size=4,5 mode=linear align_corners=1",
                                             "dy=1x2x8x6 size=5,4 scale=1.7 mode=linear",
                                             "dy=1x2x7x3 size=5,4 mode=linear",
                                             "dy=1x2x4 size=7 mode=linear",
                                             "dy=1x2x5x3x4 size=3,2,4 mode=linear",
                                             NULL};

#define SCHEMA                                                                                                         \
    {                                                                                                                  \
        {"size", NACRE_ATTRIBUTE_INTS, .limit = NC_WINDOW_AXES, .doc = "spatial sizes of the result"},                 \
            {"mode", NACRE_ATTRIBUTE_ENUM, .choices = "nearest|linear"},                                               \
            {"align_corners", NACRE_ATTRIBUTE_BOOL, .doc = "mode=linear: the corner elements keep their places"},      \
        {                                                                                                              \
            "scale", NACRE_ATTRIBUTE_FLOAT, .doc = "result by input size, of all axes; 0: as the sizes give it"        \
        }                                                                                                              \
    }

const nacre_op nc_op_interpolate = {
    .name = "interpolate",
    .doc = "Resizes the planes of x [N, C, ...] to `size`, or to floor(n * scale): the nearest element, or linear (of "
           "rank 4 bilinear) between neighbours, with half-pixel centres or aligned corners.",
    .onnx = "Resize",
    .inputs = "x",
    .outputs = "y",
    .attributes = SCHEMA,
    .layouts = "d>d",
    .shape = shape,
    .gradient = gradient,
    .reference = reference,
    .cases = CASES,
};

const nacre_op nc_op_interpolate_backward = {
    .name = "interpolate_backward",
    .doc = "The gradient of interpolate: adds each element of dy to the elements it was made of. `size` is that of dx.",
    .inputs = "dy",
    .outputs = "dx",
    .attributes = SCHEMA,
    .layouts = "d>d",
    .shape = backward_shape,
    .gradient = backward_gradient,
    .reference = backward_reference,
    .cases = BACKWARD_CASES,
};

nacre_tensor *nacre_interpolate(nacre_tensor *x, const nacre_interpolate_options *options)
{
    int64_t words[WORDS] = {0};
    int axes = nacre_tensor_rank(x) - 2;
    if (!x || !options) return NULL;
    if (options->size[0]) nc_put_ints(words + SIZE, options->size, axes < 0 ? 0 : axes, NC_WINDOW_AXES);
    words[MODE] = options->linear ? LINEAR : NEAREST;
    words[ALIGN_CORNERS] = options->align_corners;
    words[SCALE] = nacre_word(options->scale);
    return nc_apply1(&nc_op_interpolate, x, words);
}
