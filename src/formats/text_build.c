/* formats/text_build.c - from the tree of a model text to nodes of a graph: blocks, statements, models. */
#include "formats/text_build.h"

#include <string.h>

enum { STEP_LIMIT = 200000, DEPTH_LIMIT = 32 };

/* ---- calls of blocks ---- */

static nacre_status execute(nc_frame *f, const nc_statement *list);

static const nc_item *find_item(const nc_item *items, const char *name)
{
    while (items && strcmp(items->name, name) != 0) items = items->next;
    return items;
}

static nacre_status fail_unknown_parameter(const nc_frame *f, int line, const nc_statement *definition,
                                           const char *name)
{
    int count = 0;
    for (const nc_item *item = definition->items; item; item = item->next) count++;
    const char **names = nacre_pool_allocate(&f->b->pool, (size_t)(count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    count = 0;
    for (const nc_item *item = definition->items; item; item = item->next) names[count++] = item->name;
    const char *nearest = nacre_nearest(name, names);
    return NC_FAIL(f, line, "%s has no parameter '%.100s'%s%.100s%s", definition->name, name,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* Arguments, evaluated where the block is called, become variables of the block. */
static nacre_status pass_arguments(const nc_frame *caller, const nc_statement *call, const nc_statement *block,
                                   nc_frame *inner)
{
    const nc_item *next = block->items;
    for (const nc_item *item = call->items; item; item = item->next) {
        const nc_item *parameter = item->name ? find_item(block->items, item->name) : next;
        if (!parameter && item->name) return fail_unknown_parameter(caller, call->line, block, item->name);
        if (!parameter) return NC_FAIL(caller, call->line, "%s: more arguments than parameters", block->name);
        if (!item->name) next = next->next;
        if (nc_find_variable(inner, parameter->name))
            return NC_FAIL(caller, call->line, "%s: '%s' is given twice", block->name, parameter->name);
        nc_value v;
        nacre_status status = nc_evaluate(caller, item->value, &v);
        if (status == NACRE_OK) status = nc_set_variable(inner, parameter->name, v);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

/* Parameters that were not given take their defaults, which may speak of those before them. */
static nacre_status pass_defaults(nc_frame *inner, const nc_statement *definition, int line)
{
    for (const nc_item *parameter = definition->items; parameter; parameter = parameter->next) {
        if (nc_find_variable(inner, parameter->name)) continue;
        if (!parameter->value) return NC_FAIL(inner, line, "%s: '%s' is missing", definition->name, parameter->name);
        nc_value v;
        nacre_status status = nc_evaluate(inner, parameter->value, &v);
        if (status == NACRE_OK) status = nc_set_variable(inner, parameter->name, v);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status take_results(nc_frame *f, const nc_statement *call, const nc_frame *inner)
{
    int index = 0;
    for (const nc_item *target = call->targets; target; target = target->next, index++) {
        if (index == inner->result_count)
            return NC_FAIL(f, call->line, "%s returns %d values, line %d asks for more", call->callee,
                           inner->result_count, call->line);
        nacre_status status = nc_set_variable(f, target->name, inner->results[index]);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status call_block(nc_frame *f, const nc_statement *call, const nc_statement *block)
{
    if (f->b->depth == DEPTH_LIMIT)
        return NC_FAIL(f, call->line, "%s: blocks call each other more than %d deep", block->name, DEPTH_LIMIT);
    nc_frame inner = {.b = f->b};
    f->b->depth++;
    nacre_status status = nc_enter(f, call, &inner.scope);
    if (status == NACRE_OK) status = pass_arguments(f, call, block, &inner);
    if (status == NACRE_OK) status = pass_defaults(&inner, block, call->line);
    if (status == NACRE_OK) status = execute(&inner, block->body);
    if (status == NACRE_OK) status = take_results(f, call, &inner);
    nacre_release(f->b->context, inner.variables);
    f->b->depth--;
    return status;
}

/* ---- calls by name ---- */

static const nc_statement *find_block(const nacre_text *text, const char *name)
{
    for (const nc_statement *statement = text->statements; statement; statement = statement->next)
        if (statement->kind == NC_BLOCK && strcmp(statement->name, name) == 0) return statement;
    return NULL;
}

static nacre_status fail_unknown_call(const nc_frame *f, const nc_statement *call)
{
    int count = 0;
    for (const nc_statement *s = f->b->text->statements; s; s = s->next) count += s->kind == NC_BLOCK;
    for (int i = 0; nacre_layer_at(i); i++) count++;
    for (int i = 0; nacre_op_at(i); i++) count++;
    const char **names = nacre_pool_allocate(&f->b->pool, (size_t)(count + 1) * sizeof *names);
    if (!names) return NACRE_ERROR_MEMORY;
    count = 0;
    for (const nc_statement *s = f->b->text->statements; s; s = s->next)
        if (s->kind == NC_BLOCK) names[count++] = s->name;
    for (int i = 0; nacre_layer_at(i); i++) names[count++] = nacre_layer_at(i)->name;
    for (int i = 0; nacre_op_at(i); i++) names[count++] = nacre_op_at(i)->name;
    const char *nearest = nacre_nearest(call->callee, names);
    if (nearest)
        return NC_FAIL(f, call->line, "unknown layer or operation '%.100s'; did you mean '%.100s'?", call->callee,
                       nearest);
    return NC_FAIL(f, call->line, "unknown layer or operation '%.100s'", call->callee);
}

static nacre_status execute_call(nc_frame *f, const nc_statement *call)
{
    const nc_statement *block = call->is_operation ? NULL : find_block(f->b->text, call->callee);
    if (block) return call_block(f, call, block);
    const nacre_layer *layer = call->is_operation ? NULL : nacre_layer_find(call->callee);
    if (layer) return nc_call_layer(f, call, layer);
    const nacre_op *op = nacre_op_find(call->callee);
    if (op) return nc_call_operation(f, call, op);
    return fail_unknown_call(f, call);
}

/* ---- declarations ---- */

static nacre_status evaluate_shape(const nc_frame *f, const nc_statement *declaration, nacre_shape *shape)
{
    *shape = NACRE_SCALAR;
    for (const nc_expr *dim = declaration->shape; dim; dim = dim->next) {
        if (dim->kind == NC_EXPR_REST)
            return NC_FAIL(f, dim->line, "the shape of '%s' is open; it has to be given", declaration->name);
        if (shape->rank == NACRE_MAX_RANK)
            return NC_FAIL(f, dim->line, "'%s' has more than %d dimensions", declaration->name, NACRE_MAX_RANK);
        int64_t *size = &shape->dims[shape->rank++];
        nacre_status status = nc_evaluate_whole(f, dim, size);
        if (status != NACRE_OK) return status;
        if (*size < 0) return NC_FAIL(f, dim->line, "'%s' has a negative dimension", declaration->name);
    }
    return nacre_shape_count(*shape) >= 0 ? NACRE_OK
                                          : NC_FAIL(f, declaration->line, "'%s' is too large", declaration->name);
}

static nacre_status fail_input(const nc_frame *f, const nc_statement *input, const nacre_tensor *tensor)
{
    char shape[NACRE_SHAPE_TEXT_SIZE];
    nacre_buffer type = nacre_buffer_create(f->b->context);
    nc_text_print_type(input, &type);
    nacre_status status = NC_FAIL(
        f, input->line, "input '%s' is %s here, got %s%s", input->name, type.data ? type.data : "something else",
        nacre_dtype_name(nacre_tensor_dtype(tensor)), nacre_shape_text(nacre_tensor_shape(tensor), shape));
    nacre_buffer_destroy(&type);
    return status;
}

static bool is_free_name(const nc_frame *f, const nc_expr *dim)
{
    return dim->kind == NC_EXPR_NAME && !nc_find_variable(f, dim->text);
}

/* Names in the shape that have no value yet take that of the tensor. */
static nacre_status match_shape(nc_frame *f, const nc_statement *input, const nacre_tensor *tensor)
{
    nacre_status status = NACRE_OK;
    int axis = 0, rank = nacre_tensor_rank(tensor);
    if (nacre_tensor_dtype(tensor) != input->dtype) return fail_input(f, input, tensor);
    for (const nc_expr *dim = input->shape; dim && status == NACRE_OK; dim = dim->next, axis++) {
        int64_t expected;
        if (dim->kind == NC_EXPR_REST) return NACRE_OK;
        if (axis == rank) return fail_input(f, input, tensor);
        int64_t got = nacre_tensor_dim(tensor, axis);
        if (is_free_name(f, dim)) {
            if (strcmp(dim->text, "N") == 0) f->b->batch = got;
            if (strcmp(dim->text, "T") == 0) f->b->length = got;
            status = nc_set_variable(f, dim->text, (nc_value){.number = (double)got});
        } else {
            status = nc_evaluate_whole(f, dim, &expected);
            if (status == NACRE_OK && got != expected) return fail_input(f, input, tensor);
        }
    }
    return status == NACRE_OK && axis < rank ? fail_input(f, input, tensor) : status;
}

/* The next tensor that the caller gives. */
static nacre_status take_input(nc_frame *f, const nc_statement *input, nacre_tensor **tensor)
{
    const nacre_text_options *options = f->b->options;
    if (f->b->inputs >= options->input_count)
        return NC_FAIL(f, input->line, "input '%s' is not given; there are %d", input->name, options->input_count);
    *tensor = options->inputs[f->b->inputs];
    return match_shape(f, input, *tensor);
}

static nacre_status make_input(nc_frame *f, const nc_statement *input, nacre_tensor **tensor)
{
    nacre_shape shape;
    nacre_status status = evaluate_shape(f, input, &shape);
    const char *name = status == NACRE_OK && input->path ? nc_evaluate_path(f, input->path) : input->name;
    if (status != NACRE_OK || !name) return nacre_check(f->b->context);
    if (nacre_graph_input(f->scope.graph, name))
        return NC_FAIL(f, input->line, "the graph has an input '%.100s' already", name);
    *tensor = nacre_input(f->scope.graph, name, input->dtype, shape);
    return *tensor ? NACRE_OK : nc_locate_failure(f, input->line);
}

static nacre_status execute_input(nc_frame *f, const nc_statement *input)
{
    if (!f->is_model) return NC_FAIL(f, input->line, "inputs stand in the model; a block has parameters");
    nacre_tensor *tensor = NULL;
    nacre_status status = f->b->options->inputs ? take_input(f, input, &tensor) : make_input(f, input, &tensor);
    f->b->inputs++;
    return status == NACRE_OK ? nc_set_variable(f, input->name, (nc_value){.kind = NC_VALUE_TENSOR, .tensor = tensor})
                              : status;
}

/* An entry of the model as it is, or a new one filled with zeros. */
static nacre_status execute_entry(nc_frame *f, const nc_statement *entry)
{
    nacre_shape shape;
    nacre_status status = evaluate_shape(f, entry, &shape);
    const char *name = status == NACRE_OK && entry->path ? nc_evaluate_path(f, entry->path) : entry->name;
    if (status != NACRE_OK || !name) return nacre_check(f->b->context);
    nacre_scope scope = nacre_in(f->scope, name);
    nacre_graph_set_path(f->scope.graph, f->scope.path);
    int slot = nacre_model_find(scope.model, scope.path);
    if (slot < 0) slot = nacre_model_add(scope.model, entry->role, scope.path, entry->dtype, shape);
    nacre_entry found;
    if (slot < 0 || nacre_check(f->b->context) || !nacre_model_entry(scope.model, slot, &found))
        return nc_locate_failure(f, entry->line);
    if (!nacre_shape_equal(found.shape, shape) || found.dtype != entry->dtype) {
        char expected[NACRE_SHAPE_TEXT_SIZE], got[NACRE_SHAPE_TEXT_SIZE];
        return NC_FAIL(f, entry->line, "\"%s\" is %s%s here, the model has %s%s", scope.path,
                       nacre_dtype_name(entry->dtype), nacre_shape_text(shape, expected), nacre_dtype_name(found.dtype),
                       nacre_shape_text(found.shape, got));
    }
    nacre_tensor *tensor = nacre_model_tensor(scope.graph, scope.model, slot);
    if (!tensor) return nc_locate_failure(f, entry->line);
    return nc_set_variable(f, entry->name, (nc_value){.kind = NC_VALUE_TENSOR, .tensor = tensor});
}

static nacre_status store_literal(const nc_frame *f, const nc_expr *literal, nacre_dtype dtype, void *data,
                                  int64_t index)
{
    if (dtype != NACRE_I64) {
        nacre_dtype_store(dtype, data, index, literal->number);
        return NACRE_OK;
    }
    return nc_evaluate_whole(f, literal, (int64_t *)data + index);
}

static nacre_status execute_constant(nc_frame *f, const nc_statement *constant)
{
    nacre_shape shape;
    nacre_status status = evaluate_shape(f, constant, &shape);
    if (status != NACRE_OK) return status;
    int64_t count = 0;
    for (const nc_expr *item = constant->value->first; item; item = item->next) count++;
    if (count != nacre_shape_count(shape)) {
        char text[NACRE_SHAPE_TEXT_SIZE];
        return NC_FAIL(f, constant->line, "'%s' is %s, got %lld values", constant->name, nacre_shape_text(shape, text),
                       (long long)count);
    }
    void *data = nacre_allocate_aligned(f->b->context, (size_t)count * nacre_dtype_size(constant->dtype));
    if (!data) return NACRE_ERROR_MEMORY;
    int64_t index = 0;
    for (const nc_expr *item = constant->value->first; item && status == NACRE_OK; item = item->next)
        status = store_literal(f, item, constant->dtype, data, index++);
    nacre_tensor *tensor = status == NACRE_OK ? nacre_constant(f->scope.graph, constant->dtype, shape, data) : NULL;
    nacre_release_aligned(f->b->context, data);
    if (status != NACRE_OK) return status;
    if (!tensor) return nc_locate_failure(f, constant->line);
    return nc_set_variable(f, constant->name, (nc_value){.kind = NC_VALUE_TENSOR, .tensor = tensor});
}

/* ---- statements ---- */

static nacre_status execute_let(nc_frame *f, const nc_statement *let)
{
    nc_value v;
    nacre_status status = nc_evaluate(f, let->value, &v);
    return status == NACRE_OK ? nc_set_variable(f, let->targets->name, v) : status;
}

static nacre_status execute_repeat(nc_frame *f, const nc_statement *repeat)
{
    int64_t first, last;
    nacre_status status = nc_evaluate_whole(f, repeat->value, &first);
    if (status == NACRE_OK) status = nc_evaluate_whole(f, repeat->last, &last);
    if (status != NACRE_OK) return status;
    for (int64_t i = first; i <= last && !f->returned; i++) {
        if (i == INT64_MAX) return NC_FAIL(f, repeat->line, "the counter is too large");
        if (++f->b->steps > STEP_LIMIT) return NC_FAIL(f, repeat->line, "more than %d steps", STEP_LIMIT);
        status = nc_set_variable(f, repeat->name, (nc_value){.number = (double)i});
        if (status == NACRE_OK) status = execute(f, repeat->body);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status execute_if(nc_frame *f, const nc_statement *statement)
{
    double condition;
    nacre_status status = nc_evaluate_number(f, statement->value, &condition);
    return status == NACRE_OK ? execute(f, condition != 0 ? statement->body : statement->otherwise) : status;
}

static nacre_status execute_return(nc_frame *f, const nc_statement *statement)
{
    for (const nc_expr *expr = statement->value; expr; expr = expr->next) {
        if (f->result_count == NC_RESULT_LIMIT) return NC_FAIL(f, expr->line, "more than %d results", NC_RESULT_LIMIT);
        nc_value *result = &f->results[f->result_count++];
        nacre_status status = nc_evaluate(f, expr, result);
        if (status != NACRE_OK) return status;
        if (f->is_model && result->kind != NC_VALUE_TENSOR)
            return NC_FAIL(f, expr->line, "a model returns tensors, got %s", nc_value_kind_name(result->kind));
    }
    f->returned = true;
    return NACRE_OK;
}

static nacre_status execute_statement(nc_frame *f, const nc_statement *statement)
{
    switch (statement->kind) {
    case NC_INPUT: return execute_input(f, statement);
    case NC_ENTRY: return execute_entry(f, statement);
    case NC_CONSTANT: return execute_constant(f, statement);
    case NC_LET: return execute_let(f, statement);
    case NC_CALL: return execute_call(f, statement);
    case NC_REPEAT: return execute_repeat(f, statement);
    case NC_IF: return execute_if(f, statement);
    case NC_RETURN: return execute_return(f, statement);
    default: return NACRE_OK; /* blank lines and comments */
    }
}

static nacre_status execute(nc_frame *f, const nc_statement *list)
{
    nacre_status status = NACRE_OK;
    for (const nc_statement *statement = list; statement && status == NACRE_OK && !f->returned;
         statement = statement->next) {
        if (++f->b->steps > STEP_LIMIT) return NC_FAIL(f, statement->line, "more than %d steps", STEP_LIMIT);
        status = execute_statement(f, statement);
    }
    return status;
}

/* ---- models ---- */

static nacre_status pass_settings(nc_frame *f, const nc_statement *model, const nacre_setting *settings)
{
    for (; settings && settings->name; settings++) {
        if (!find_item(model->items, settings->name))
            return fail_unknown_parameter(f, model->line, model, settings->name);
        nc_value v = {.kind = NC_VALUE_NUMBER, .number = settings->number, .text = settings->text};
        if (!settings->is_number && !nc_is_number_word(settings->text, &v.number)) v.kind = NC_VALUE_TEXT;
        nacre_status status = nc_set_variable(f, settings->name, v);
        if (status != NACRE_OK) return status;
    }
    return NACRE_OK;
}

static nacre_status execute_model(nc_frame *f, const nc_statement *model)
{
    nacre_status status = pass_settings(f, model, f->b->options->parameters);
    if (status == NACRE_OK) status = pass_defaults(f, model, model->line);
    if (status == NACRE_OK) status = execute(f, model->body);
    if (status != NACRE_OK) return status;
    if (f->b->options->inputs && f->b->inputs < f->b->options->input_count)
        return NC_FAIL(f, model->line, "%s has %d inputs, got %d", model->name, f->b->inputs,
                       f->b->options->input_count);
    return f->result_count ? NACRE_OK : NC_FAIL(f, model->line, "%s returns nothing", model->name);
}

nacre_tensor *nacre_text_build(const nacre_text *text, nacre_scope scope, const nacre_text_options *options)
{
    static const nacre_text_options defaults;
    nacre_context *context = nacre_graph_context(scope.graph);
    if (!text || !scope.graph || !scope.model || nacre_check(context)) return NULL;
    if (!options) options = &defaults;
    nc_builder b = {.text = text, .options = options, .context = context, .pool = {.context = context}};
    b.batch = options->batch > 0 ? options->batch : 1;
    b.length = options->length > 0 ? options->length : 1;
    nc_frame f = {.b = &b, .scope = scope, .is_model = true};
    nacre_status status = execute_model(&f, text->model);
    nacre_graph_set_path(scope.graph, scope.path);
    for (int i = 0; i < options->output_limit; i++)
        options->outputs[i] = status == NACRE_OK && i < f.result_count ? f.results[i].tensor : NULL;
    nacre_release(context, f.variables);
    nacre_pool_destroy(&b.pool);
    return status == NACRE_OK ? f.results[0].tensor : NULL;
}
