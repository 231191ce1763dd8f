/* train/loss.c - losses by name. */
#include <nacre/train.h>

#include <string.h>

const char *const nacre_loss_names[] = {"cross_entropy", "mse", "l1", "huber", "smooth_l1", "bce_with_logits", NULL};

bool nacre_loss_exists(const char *name)
{
    for (int i = 0; name && nacre_loss_names[i]; i++)
        if (!strcmp(name, nacre_loss_names[i])) return true;
    return false;
}

nacre_tensor *nacre_loss(const char *name, nacre_tensor *outputs, nacre_tensor *targets, double label_smoothing)
{
    if (!outputs || !targets || !name) return NULL;
    if (!strcmp(name, "cross_entropy"))
        return nacre_cross_entropy(outputs, targets,
                                   &(nacre_cross_entropy_options){.label_smoothing = label_smoothing});
    if (!strcmp(name, "mse")) return nacre_mse_loss(outputs, targets);
    if (!strcmp(name, "l1")) return nacre_l1_loss(outputs, targets);
    if (!strcmp(name, "huber")) return nacre_huber_loss(outputs, targets, 1);
    if (!strcmp(name, "smooth_l1")) return nacre_smooth_l1_loss(outputs, targets, 1);
    if (!strcmp(name, "bce_with_logits")) return nacre_bce_with_logits_loss(outputs, targets);
    nacre_fail(nacre_graph_context(nacre_tensor_graph(outputs)), NACRE_ERROR_ARGUMENT, "there is no loss \"%s\"", name);
    return NULL;
}
