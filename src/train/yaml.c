/* train/yaml.c - YAML as a tree, over the events of libyaml. */
#include "train/yaml.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { TEXT_LIMIT = 1 << 20, NODE_LIMIT = 10000, DEPTH_LIMIT = 32 };

typedef struct reader {
    nacre_pool *pool;
    const nc_origin *origin;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    int nodes, depth;
} reader;

nacre_status nc_yaml_fail(nacre_context *context, const nc_origin *origin, int line, nacre_status status,
                          const char *format, ...)
{
    char message[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (line > 0) return nacre_fail(context, status, "%s:%d: %s", origin->name, line, message);
    return nacre_fail(context, status, "%s: %s", origin->name, message);
}

/* ---- reading ---- */

static int line_of(const reader *r, yaml_mark_t mark)
{
    return r->origin->has_lines ? (int)mark.line + 1 : 0;
}

#define FAIL(r, ...)                                                                                                   \
    nc_yaml_fail((r)->pool->context, (r)->origin, line_of(r, (r)->event.start_mark), NACRE_ERROR_FORMAT, __VA_ARGS__)

static bool next_event(reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event)) return true;
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        nacre_fail(r->pool->context, NACRE_ERROR_MEMORY, "%s: out of memory", r->origin->name);
    else
        nc_yaml_fail(r->pool->context, r->origin, line_of(r, p->problem_mark), NACRE_ERROR_FORMAT,
                     "this is not YAML: %s%s%s", p->problem ? p->problem : "unreadable", p->context ? " " : "",
                     p->context ? p->context : "");
    return false;
}

static nc_yaml *read_node(reader *r);

static nc_yaml *read_scalar(reader *r, nc_yaml *node)
{
    const char *text = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    if (memchr(text, 0, length)) {
        FAIL(r, "a text has a 0 character");
        return NULL;
    }
    node->plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = nacre_pool_copy(r->pool, text, length);
    return node->text ? node : NULL;
}

/* The next entry of a map: its key is the current event. */
static nc_yaml *read_entry(reader *r, const nc_yaml *map)
{
    nc_yaml *key = read_node(r);
    if (!key) return NULL;
    if (key->kind != NC_YAML_SCALAR) {
        FAIL(r, "a key must be a text");
        return NULL;
    }
    for (const nc_yaml *other = map->items; other; other = other->next) {
        if (strcmp(other->key, key->text) != 0) continue;
        nc_yaml_fail(r->pool->context, r->origin, key->line, NACRE_ERROR_FORMAT, "key '%.200s' is there twice",
                     key->text);
        return NULL;
    }
    nc_yaml *value = next_event(r) ? read_node(r) : NULL;
    if (!value) return NULL;
    value->key = key->text;
    value->line = key->line; /* where a reader looks for it */
    return value;
}

static nc_yaml *read_items(reader *r, nc_yaml *node, yaml_event_type_t end)
{
    if (++r->depth > DEPTH_LIMIT) {
        FAIL(r, "nested more than %d levels deep", DEPTH_LIMIT);
        return NULL;
    }
    nc_yaml **last = &node->items;
    while (next_event(r)) {
        if (r->event.type == end) {
            r->depth--;
            return node;
        }
        nc_yaml *item = node->kind == NC_YAML_MAP ? read_entry(r, node) : read_node(r);
        if (!item) return NULL;
        *last = item;
        last = &item->next;
        node->count++;
    }
    return NULL;
}

static bool is_decorated(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: return event->data.scalar.anchor || event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT: return event->data.sequence_start.anchor || event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT: return event->data.mapping_start.anchor || event->data.mapping_start.tag;
    default: return event->type == YAML_ALIAS_EVENT;
    }
}

/* The node that the current event begins; afterwards the current event is its last. */
static nc_yaml *read_node(reader *r)
{
    if (is_decorated(&r->event)) {
        FAIL(r, "anchors (&), aliases (*) and tags (!) are not allowed; put such a text between quotes");
        return NULL;
    }
    if (++r->nodes > NODE_LIMIT) {
        FAIL(r, "more than %d entries", NODE_LIMIT);
        return NULL;
    }
    nc_yaml *node = nacre_pool_allocate(r->pool, sizeof *node);
    if (!node) return NULL;
    node->line = line_of(r, r->event.start_mark);
    switch (r->event.type) {
    case YAML_SCALAR_EVENT: return read_scalar(r, node);
    case YAML_SEQUENCE_START_EVENT: node->kind = NC_YAML_LIST; return read_items(r, node, YAML_SEQUENCE_END_EVENT);
    default: node->kind = NC_YAML_MAP; return read_items(r, node, YAML_MAPPING_END_EVENT);
    }
}

static nc_yaml *read_document(reader *r)
{
    if (!next_event(r) || !next_event(r)) return NULL; /* the stream's start, then a document or the stream's end */
    if (r->event.type == YAML_STREAM_END_EVENT) {
        FAIL(r, "there is nothing in it");
        return NULL;
    }
    nc_yaml *root = next_event(r) ? read_node(r) : NULL;
    if (!root || !next_event(r) || !next_event(r)) return NULL; /* the document's end, then the stream's */
    if (r->event.type != YAML_STREAM_END_EVENT) {
        FAIL(r, "a second document begins; only one is allowed");
        return NULL;
    }
    return root;
}

nc_yaml *nc_yaml_parse(nacre_pool *pool, const nc_origin *origin, const char *text, size_t size)
{
    reader r = {.pool = pool, .origin = origin};
    if (size > TEXT_LIMIT) {
        nc_yaml_fail(pool->context, origin, 0, NACRE_ERROR_FORMAT, "larger than %d bytes", TEXT_LIMIT);
        return NULL;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        nacre_fail(pool->context, NACRE_ERROR_MEMORY, "%s: out of memory", origin->name);
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    nc_yaml *root = read_document(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return root;
}

/* ---- printing ---- */

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./"

/* Words, paths and calls, which no rule of YAML touches. */
static bool is_plain_text(const char *text, bool flow)
{
    static const char *const taken[] = {"null", "Null", "NULL", "true", "false", NULL};
    for (int i = 0; taken[i]; i++)
        if (strcmp(text, taken[i]) == 0) return false;
    double number;
    size_t length = strlen(text);
    if (length == 0 || strspn(text, LETTERS) == 0 || nacre_parse_number(text, &number)) return false;
    return text[length - 1] != ' ' && strspn(text, flow ? LETTERS "-()=+" : LETTERS "-()=+, []") == length;
}

/* One character of UTF-8; at the end of malformed text what is there. */
static size_t decode(const unsigned char *c, uint32_t *character)
{
    size_t size = c[0] < 0x80 ? 1 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    *character = size == 1 ? c[0] : c[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((c[i] & 0xc0) != 0x80) return i;
        *character = *character << 6 | (c[i] & 0x3f);
    }
    return size;
}

/* What libyaml does not take literally: control characters, line ends beyond \n, byte order marks. */
static bool needs_escape(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 || character == 0x2029 ||
           character == 0xfeff || character == 0xfffe || character == 0xffff;
}

void nc_yaml_print_text(nacre_buffer *buffer, const char *text, bool flow)
{
    if (is_plain_text(text, flow)) {
        nacre_buffer_put(buffer, text, strlen(text));
        return;
    }
    nacre_buffer_put(buffer, "\"", 1);
    for (size_t size; *text; text += size) {
        uint32_t character;
        size = decode((const unsigned char *)text, &character);
        if (character == '"' || character == '\\')
            nacre_buffer_print(buffer, "\\%c", (int)character);
        else if (character == '\n')
            nacre_buffer_put(buffer, "\\n", 2);
        else if (needs_escape(character))
            nacre_buffer_print(buffer, "\\u%04x", (unsigned)character);
        else
            nacre_buffer_put(buffer, text, size);
    }
    nacre_buffer_put(buffer, "\"", 1);
}

bool nc_yaml_can_be_block(const char *text)
{
    size_t length = strlen(text);
    if (!strchr(text, '\n') || *text == ' ' || *text == '\n' || *text == '\t') return false;
    if (length > 1 && text[length - 1] == '\n' && text[length - 2] == '\n') return false; /* which | would cut */
    for (size_t size; *text; text += size) {
        uint32_t character;
        size = decode((const unsigned char *)text, &character);
        if (character != '\n' && character != '\t' && needs_escape(character)) return false;
    }
    return true;
}
