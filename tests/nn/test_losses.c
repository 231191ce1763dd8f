/* Losses where their formulas are delicate. */
#include "test.h"

#include <nacre/nacre.h>

/* sigmoid(x) - t is the gradient everywhere: at 0, where an absolute value in the formula would spoil it, and far out,
 * where an exponential would overflow. */
static void binary_cross_entropy(void)
{
    enum { COUNT = 6 };
    static const double logits[COUNT] = {0, 0, 1.5, -1.5, 1000, -1000}, targets[COUNT] = {1, 0, 0.25, 1, 0, 1};
    double gradients[COUNT], expected = 0;
    nacre_context *ctx = nacre_context_create(NULL);
    nacre_graph *g = nacre_graph_create(ctx);
    nacre_tensor *x = nacre_input(g, "x", NACRE_F64, NACRE_SHAPE(COUNT)), *dx;
    nacre_tensor *t = nacre_input(g, "t", NACRE_F64, NACRE_SHAPE(COUNT));
    nacre_tensor *loss = nacre_bce_with_logits_loss(x, t);
    NC_CHECK(nacre_gradients(loss, &x, 1, &dx) == NACRE_OK);
    nacre_output(loss);
    nacre_output(dx);
    nacre_feed(x, logits);
    nacre_feed(t, targets);
    NC_CHECK(nacre_run(g) == NACRE_OK);
    nacre_read(dx, gradients, sizeof gradients);
    for (int i = 0; i < COUNT; i++) {
        double size = fabs(logits[i]);
        expected += fmax(logits[i], 0) - logits[i] * targets[i] + log1p(exp(-size));
        NC_CHECK_NEAR(COUNT * gradients[i], 1 / (1 + exp(-logits[i])) - targets[i], 1e-12);
    }
    NC_CHECK_NEAR(nacre_read_scalar(loss), expected / COUNT, 1e-12 * expected);
    nacre_graph_destroy(g);
    nacre_context_destroy(ctx);
}

int main(void)
{
    NC_RUN(binary_cross_entropy);
    return nc_report();
}
