/* Every case of tests/golden/ops_*.safetensors on every device and instruction set: values, gradients and second
 * derivatives as PyTorch computes them. make_golden.py beside the files says what is in them. */
#include "golden.h"

#include <nacre/backend.h>

enum { NAME = 64, OPERANDS = 8, BUFFERS = 64 };

typedef struct golden_case {
    nacre_context *context;
    nacre_graph *graph;
    const nacre_safetensors *file;
    const char *name, *text; /* "conv.2", "conv stride=2" */
    const nacre_op *op;
    nacre_dtype dtype; /* of the floating-point tensors */
    const char *device;
    nacre_tensor *operands[OPERANDS], *outputs[NACRE_MAX_OUTPUTS];
    nacre_tensor *gradients[OPERANDS], *second[OPERANDS];
    char operand_names[OPERANDS][NAME], output_names[NACRE_MAX_OUTPUTS][NAME];
    int operand_count, output_count;
    void *buffers[BUFFERS]; /* what inputs are fed from */
    int buffer_count;
} golden_case;

/* "conv.2" + "d" + "x" */
static const nacre_named_array *find(const golden_case *c, const char *prefix, const char *tensor)
{
    char name[2 * NAME];
    snprintf(name, sizeof name, "%s.%s%s", c->name, prefix, tensor);
    return nacre_safetensors_find(c->file, name);
}

static nacre_tensor *feed(golden_case *c, const nacre_named_array *array)
{
    nacre_dtype dtype = nacre_dtype_is_float(array->dtype) ? c->dtype : array->dtype;
    void *values = malloc((size_t)nacre_shape_count(array->shape) * nacre_dtype_size(dtype) + 1);
    if (!values || c->buffer_count == BUFFERS) return NULL;
    c->buffers[c->buffer_count++] = values;
    nacre_safetensors_load(array, dtype, values);
    nacre_tensor *input = nacre_input(c->graph, array->name, dtype, array->shape);
    nacre_feed(input, values);
    return input;
}

/* The words of "conv stride=2": defaults, then what is given. */
static bool read_attributes(const golden_case *c, int64_t words[NACRE_MAX_ATTRIBUTE_WORDS])
{
    nacre_op_attribute_defaults(c->op, words);
    char text[512];
    snprintf(text, sizeof text, "%s", c->text);
    char *rest = text, *value = strsep(&rest, " ");
    while ((value = strsep(&rest, " "))) {
        const char *name = strsep(&value, "=");
        int index = nacre_op_attribute_find(c->op, name);
        int64_t *word = index >= 0 ? words + nacre_op_attribute_offset(c->op, index) : NULL;
        if (!word || !value || !nacre_attribute_parse(&c->op->attributes[index], value, word)) {
            NC_COMPLAIN("%s (%s): no such attribute or choice: %s=%s", c->name, c->text, name, value ? value : "");
            return false;
        }
    }
    return true;
}

/* ---- building ---- */

static void add_operand(golden_case *c, const char *name, const nacre_named_array *array)
{
    snprintf(c->operand_names[c->operand_count], NAME, "%s", name);
    c->operands[c->operand_count++] = array ? feed(c, array) : NULL;
}

/* Operands by the names in the operation's "x w ?b"; "x*" is x0, x1, ... */
static void feed_operands(golden_case *c)
{
    char text[256], name[NAME];
    snprintf(text, sizeof text, "%s", c->op->inputs);
    for (char *rest = text, *word; (word = strsep(&rest, " "));) {
        word += *word == '?';
        char *star = strchr(word, '*');
        if (!star) {
            add_operand(c, word, find(c, "", word));
            continue;
        }
        *star = 0;
        for (int i = 0; c->operand_count < OPERANDS; i++) {
            snprintf(name, sizeof name, "%s%d", word, i);
            const nacre_named_array *array = find(c, "", name);
            if (!array) break;
            add_operand(c, name, array);
        }
    }
    while (c->operand_count > 0 && !c->operands[c->operand_count - 1]) c->operand_count--;
}

static void apply(golden_case *c)
{
    int64_t words[NACRE_MAX_ATTRIBUTE_WORDS];
    if (!read_attributes(c, words)) return;
    feed_operands(c);
    nacre_tensor *first = nacre_apply(c->graph, c->op, c->operands, c->operand_count, words);
    char text[256];
    snprintf(text, sizeof text, "%s", c->op->outputs);
    for (char *rest = text, *word; first && (word = strsep(&rest, " "));) {
        snprintf(c->output_names[c->output_count], NAME, "%s", word);
        c->outputs[c->output_count] = nacre_tensor_sibling(first, c->output_count);
        c->output_count++;
    }
}

/* Feeds the seeds `prefix`NAME back through `outputs` and keeps the gradients of the operands that have a golden
 * `result`NAME. */
static void differentiate(golden_case *c, nacre_tensor *const *outputs, char (*names)[NAME], int count,
                          const char *prefix, const char *result, nacre_tensor **gradients)
{
    nacre_tensor *used[OPERANDS], *seeds[OPERANDS], *wrt[OPERANDS], *found[OPERANDS] = {NULL};
    int where[OPERANDS], seed_count = 0, wrt_count = 0;
    for (int o = 0; o < count; o++) {
        const nacre_named_array *seed = outputs[o] ? find(c, prefix, names[o]) : NULL;
        if (!seed) continue;
        used[seed_count] = outputs[o];
        seeds[seed_count++] = feed(c, seed);
    }
    for (int i = 0; i < c->operand_count; i++) {
        if (!find(c, result, c->operand_names[i])) continue;
        where[wrt_count] = i;
        wrt[wrt_count++] = c->operands[i];
    }
    if (seed_count == 0 || wrt_count == 0) return;
    nacre_vjp(used, seeds, seed_count, wrt, wrt_count, found);
    for (int i = 0; i < wrt_count; i++) gradients[where[i]] = found[i];
}

/* ---- comparing ---- */

static void mark(const golden_case *c, const char *prefix, nacre_tensor *const *tensors, char (*names)[NAME], int count)
{
    for (int i = 0; i < count; i++)
        if (tensors[i] && find(c, prefix, names[i])) nacre_output(tensors[i]);
}

static void compare(const golden_case *c, const char *prefix, nacre_tensor *const *tensors, char (*names)[NAME],
                    int count)
{
    for (int i = 0; i < count; i++) {
        const nacre_named_array *golden = find(c, prefix, names[i]);
        if (!golden) continue;
        char got_text[NACRE_SHAPE_TEXT_SIZE], golden_text[NACRE_SHAPE_TEXT_SIZE];
        nacre_shape shape = nacre_tensor_shape(tensors[i]);
        if (!tensors[i] || !nacre_shape_equal(shape, golden->shape)) {
            NC_COMPLAIN("%s (%s) %s%s: shape is %s, expected %s", c->name, c->text, prefix, names[i],
                        nacre_shape_text(shape, got_text), nacre_shape_text(golden->shape, golden_text));
            continue;
        }
        nacre_dtype dtype = nacre_tensor_dtype(tensors[i]);
        size_t size = (size_t)nacre_shape_count(shape) * nacre_dtype_size(dtype);
        void *got = malloc(size + 1);
        double *expected = nc_golden_values(golden);
        if (!got || !expected || nacre_read(tensors[i], got, size)) {
            NC_COMPLAIN("%s %s%s: cannot be read: %s", c->name, prefix, names[i], nacre_message(c->context));
        } else {
            double error = nc_furthest(dtype, got, expected, nacre_shape_count(shape));
            if (error > nc_tolerance(c->dtype) * (strcmp(prefix, "dd") ? 1 : 10))
                NC_COMPLAIN("%s (%s) %s%s in %s on %s: relative error %.3g", c->name, c->text, prefix, names[i],
                            nacre_dtype_name(c->dtype), c->device, error);
        }
        free(got);
        free(expected);
    }
}

static void run_case(golden_case *c)
{
    char op[NAME];
    snprintf(op, sizeof op, "%.*s", (int)strcspn(c->text, " "), c->text);
    c->op = nacre_op_find(op);
    if (!c->op) {
        NC_COMPLAIN("%s: there is no operation %s", c->name, op);
        return;
    }
    nacre_graph_reset(c->graph);
    apply(c);
    differentiate(c, c->outputs, c->output_names, c->output_count, "d", "d", c->gradients);
    differentiate(c, c->gradients, c->operand_names, c->operand_count, "u", "dd", c->second);
    mark(c, "", c->outputs, c->output_names, c->output_count);
    mark(c, "d", c->gradients, c->operand_names, c->operand_count);
    mark(c, "dd", c->second, c->operand_names, c->operand_count);
    if (nacre_run(c->graph) || nacre_check(c->context)) {
        NC_COMPLAIN("%s (%s) in %s on %s: %s", c->name, c->text, nacre_dtype_name(c->dtype), c->device,
                    nacre_message(c->context));
        nacre_clear(c->context);
    } else {
        compare(c, "", c->outputs, c->output_names, c->output_count);
        compare(c, "d", c->gradients, c->operand_names, c->operand_count);
        compare(c, "dd", c->second, c->operand_names, c->operand_count);
    }
    while (c->buffer_count > 0) free(c->buffers[--c->buffer_count]);
}

/* ---- devices ---- */

static void run_file(const char *name, nacre_context *context, nacre_graph *graph, const char *device)
{
    char path[NAME];
    snprintf(path, sizeof path, "tests/golden/ops_%s.safetensors", name);
    nacre_safetensors *file = nacre_safetensors_open(context, nc_source(path));
    NC_CHECK_OK(context);
    nacre_text_pair pair;
    int count = 0;
    for (; file && (pair = nacre_safetensors_metadata_at(file, count)).key; count++)
        for (int d = 0; d < 2; d++) {
            golden_case c = {.context = context, .graph = graph, .file = file, .name = pair.key, .text = pair.text};
            c.dtype = d ? NACRE_F32 : NACRE_F64;
            c.device = device;
            run_case(&c);
        }
    NC_CHECK(count > 0);
    nacre_safetensors_close(file);
}

static void run_device(const char *device, const nacre_context_options *options)
{
    static const char *const files[] = {"elementwise", "reduce", "index", "conv", "pool", "norm", "softmax"};
    nacre_context *context = nacre_context_create(options);
    nacre_graph *graph = nacre_graph_create(context);
    NC_REQUIRE(context && graph);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) run_file(files[i], context, graph, device);
    nacre_graph_destroy(graph);
    nacre_context_destroy(context);
}

static void reference(void)
{
    run_device("reference", &(nacre_context_options){.device = NACRE_DEVICE_REFERENCE, .threads = 1});
}

static void cpu(void)
{
    for (int level = 0; level <= (int)nacre_machine_info()->best; level++)
        run_device(nacre_instruction_set_name((nacre_instruction_set)level),
                   &(nacre_context_options){.threads = 2, .instruction_set = level + 1});
}

int main(void)
{
    NC_RUN(reference);
    NC_RUN(cpu);
    return nc_report();
}
