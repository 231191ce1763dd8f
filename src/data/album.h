/* data/album.h - pictures in folders and archives. */
#ifndef NC_DATA_ALBUM_H
#define NC_DATA_ALBUM_H

#include <nacre/data.h>

/* Which samples are for testing where the source does not say it with folders. */
typedef enum nc_rule_kind {
    NC_RULE_NONE,
    NC_RULE_MODULO, /* number % a == b */
    NC_RULE_FROM,   /* number >= a */
    NC_RULE_LAST    /* the last a of each class, by number and path */
} nc_rule_kind;

typedef struct nc_rule {
    nc_rule_kind kind;
    int64_t a, b;
} nc_rule;

/* What the catalogue knows about a set of pictures. */
typedef struct nc_album_guide {
    const char *layout;
    nc_rule rule;             /* on the {number} of the layout */
    const char *label_member; /* a table in the archive: {number}, class from 1; NULL: the {class} of the layout */
    const char *const *class_names; /* of label_member, ended by NULL */
} nc_album_guide;

/* `guide` NULL: as the options and the folders' names say. */
nacre_dataset *nc_open_album(nacre_context *context, const char *path, const nacre_dataset_options *options,
                             const nc_album_guide *guide);

#endif
