/* nacre.h - the whole public interface. Each header is a manual of its own; backend.h (for kernels and tools) is not
 * stable and is included by those who need it.
 */
#ifndef NACRE_NACRE_H
#define NACRE_NACRE_H

#include <nacre/advise.h>      /* what data and a recipe ask for */
#include <nacre/base.h>        /* contexts, errors, memory, dtypes, shapes */
#include <nacre/data.h>        /* datasets, transforms, loaders */
#include <nacre/generate.h>    /* sequences continued token by token */
#include <nacre/graph.h>       /* tensors, graphs, gradients, running */
#include <nacre/image.h>       /* pictures */
#include <nacre/io.h>          /* files, text buffers */
#include <nacre/metrics.h>     /* how good a model is */
#include <nacre/model.h>       /* parameters at paths, saving and loading */
#include <nacre/nn.h>          /* layers, initialisers, losses */
#include <nacre/ops.h>         /* every operation as a function */
#include <nacre/profile.h>     /* where the time goes */
#include <nacre/random.h>      /* counter-based random numbers */
#include <nacre/recipe.h>      /* data, model and training in one YAML file */
#include <nacre/report.h>      /* plots, logs of runs, progress, the HTML report */
#include <nacre/safetensors.h> /* named arrays in one file */
#include <nacre/select.h>      /* choosing a model: cross-validation, searches */
#include <nacre/text.h>        /* models as text */
#include <nacre/train.h>       /* fitting, checkpoints, evaluation */
#include <nacre/zoo.h>         /* named architectures */

#endif
