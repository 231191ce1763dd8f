/* zoo.h - named architectures, as model text (text.h) inside the library. */
#ifndef NACRE_ZOO_H
#define NACRE_ZOO_H

#include <nacre/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The text of an architecture ("lenet", "resnet", "gpt", ...); NULL if there is none of this name. Depth, width and the
 * like are parameters of the text (nacre_text_options): "resnet" with depth=18 is ResNet-18. */
NACRE_API const char *nacre_zoo_text(const char *name);
NACRE_API const char *nacre_zoo_name(int index); /* in alphabetical order, NULL past the end */

#ifdef __cplusplus
}
#endif

#endif
