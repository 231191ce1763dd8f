/* train/yaml.h - YAML as a tree that remembers its lines. */
#ifndef NC_TRAIN_YAML_H
#define NC_TRAIN_YAML_H

#include <nacre/io.h>

typedef enum nc_yaml_kind { NC_YAML_SCALAR, NC_YAML_LIST, NC_YAML_MAP } nc_yaml_kind;

typedef struct nc_yaml {
    nc_yaml_kind kind;
    int line;         /* from 1; 0: the text has no lines to speak of */
    const char *text; /* of a scalar */
    bool plain;       /* without quotes: 12 and not "12" */
    const char *key;  /* of an entry of a map, else NULL */
    int count;        /* of items */
    struct nc_yaml *items, *next;
} nc_yaml;

/* Where messages say that something stands: "file:12", or the origin alone where line is 0. */
typedef struct nc_origin {
    const char *name;
    bool has_lines;
} nc_origin;

/* The one document in the text, in memory of the pool. NULL and a failure for everything that is not plain: malformed
 * text, several documents, anchors, aliases, tags, keys given twice, more than 1 MiB, 10,000 nodes or 32 levels. */
nc_yaml *nc_yaml_parse(nacre_pool *pool, const nc_origin *origin, const char *text, size_t size);

nacre_status nc_yaml_fail(nacre_context *context, const nc_origin *origin, int line, nacre_status status,
                          const char *format, ...) NACRE_PRINTF(5, 6);

/* Appends a text as a scalar that reads back as this text, on one line; between quotes where it would otherwise be
 * taken for something else. `flow`: inside [] or {}. */
void nc_yaml_print_text(nacre_buffer *buffer, const char *text, bool flow);
/* Whether a text of several lines can stand as a literal block ("|"). */
bool nc_yaml_can_be_block(const char *text);

#endif
