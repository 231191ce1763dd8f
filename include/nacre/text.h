/* text.h - models as text.
 *
 *     # Residual blocks of He et al. 2015, section 4.2.
 *     block basic(x, channels, stride=1)
 *       conv1 = conv2d(x, channels, 3, stride=stride, bias=false)
 *       bn1 = batch_norm(conv1)
 *       h = relu(bn1)
 *       conv2 = conv2d(h, channels, 3, bias=false)
 *       bn2 = batch_norm(conv2)
 *       if stride != 1
 *         x = conv2d(x, channels, 1, stride=stride, bias=false) as downsample
 *       end
 *       y = add(bn2, x)
 *       y = relu(y)
 *       return y
 *     end
 *
 *     model resnet(depth=20, classes=10)
 *       input x f32[N, 3, 32, 32]
 *       conv1 = conv2d(x, 16, 3, bias=false)
 *       bn1 = batch_norm(conv1)
 *       h = relu(bn1)
 *       repeat stage in 1..3
 *         repeat i in 0..(depth - 2) / 6 - 1
 *           h = basic(h, 8 * 2 ^ stage, stride=stage > 1 and i == 0 ? 2 : 1) as layer{stage}.{i}
 *         end
 *       end
 *       h = adaptive_avg_pool(h, 1)
 *       h = flatten(h)
 *       fc = linear(h, classes)
 *       return fc
 *     end
 *
 * One call a line: layers (layer.h), operations (backend.h) and blocks. Tensors come first, then attributes in the
 * order of their schema or by name. What a call is assigned to names its path, under which its parameters live
 * ("layer1.0.conv1.weight"); `as` gives another path, with {expressions} in it. Two layers with parameters never meet
 * at one path unless the second says `reuse` instead of `as`. `op.NAME` is the operation where a layer or block has
 * the same name. docs/model-text.md has the grammar.
 */
#ifndef NACRE_TEXT_H
#define NACRE_TEXT_H

#include <nacre/io.h>
#include <nacre/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_text nacre_text;

/* Reads a text; `origin` (NULL: "model") and the line stand in messages. Names of layers and shapes are only checked
 * when a graph is built. At most 16 MiB. */
NACRE_API nacre_text *nacre_text_parse(nacre_context *context, const char *source, size_t size, const char *origin);
NACRE_API nacre_text *nacre_text_load(nacre_context *context, const char *path);
NACRE_API void nacre_text_destroy(nacre_text *text);           /* NULL is fine */
NACRE_API const char *nacre_text_name(const nacre_text *text); /* of the model */

/* A parameter of the model with its default; false past the end. Defaults that are no plain number or text are "". */
NACRE_API bool nacre_text_parameter(const nacre_text *text, int index, nacre_setting *parameter);

/* Appends the text with comments, in the one usual form: a text in that form comes back byte by byte. `parameters`
 * (ended by a NULL name; NULL: none) replace the defaults of the model's parameters, so that the result stands for
 * itself. */
NACRE_API nacre_status nacre_text_print(const nacre_text *text, const nacre_setting *parameters, nacre_buffer *buffer);

typedef struct nacre_text_options {
    int64_t batch;                   /* N; 0: 1, or what `inputs` say */
    int64_t length;                  /* T, of sequences; likewise */
    const nacre_setting *parameters; /* instead of the defaults, ended by a NULL name */
    /* Tensors that take the place of the model's inputs, in their order; NULL: new inputs of the graph. */
    nacre_tensor *const *inputs;
    int input_count;
    /* Where to store what the model returns: `output_limit` places, the rest becomes NULL. */
    nacre_tensor **outputs;
    int output_limit;
} nacre_text_options;

/* Builds the model in the scope's graph, at the scope's path, and returns its (first) result. NULL and a failure that
 * names file, line and layer: an unknown name (with the nearest), operands that do not fit, a number that is not
 * whole, a path used twice. The scope says whether it is for training. */
NACRE_API nacre_tensor *nacre_text_build(const nacre_text *text, nacre_scope scope, const nacre_text_options *options);

/* Appends any graph as a text of operations that builds the same nodes again. `outputs` are what it returns; `model`
 * (NULL is fine) tells parameters from buffers. */
NACRE_API nacre_status nacre_text_from_graph(const nacre_graph *graph, const nacre_model *model,
                                             nacre_tensor *const *outputs, int output_count, const char *name,
                                             nacre_buffer *text);

#ifdef __cplusplus
}
#endif

#endif
