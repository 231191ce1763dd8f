/* cpu/kernels.c - the ordered list of fast kernels. */
#include "core/registry.h"
#include "cpu/elementwise.h"

#define ELEMENTWISE(name, result, X, isa) X(nc_elementwise_kernel_##name##_##isa)
/* One line per kernel; those of one operation in the order in which they are tried. */
#define EACH_KERNEL(X, isa)                                                                                            \
    X(nc_matvec_kernel_##isa)                                                                                          \
    X(nc_few_columns_kernel_##isa)                                                                                     \
    X(nc_matmul_kernel_f32_##isa)                                                                                      \
    X(nc_matmul_kernel_f64_##isa)                                                                                      \
    X(nc_matmul_half_kernel_##isa)                                                                                     \
    X(nc_conv_winograd_kernel_##isa)                                                                                   \
    X(nc_conv_half_direct_kernel_##isa)                                                                                \
    X(nc_conv_half_kernel_##isa)                                                                                       \
    X(nc_conv_backward_data_half_direct_kernel_##isa)                                                                  \
    X(nc_conv_backward_data_half_kernel_##isa)                                                                         \
    X(nc_conv_backward_weight_half_kernel_##isa)                                                                       \
    X(nc_conv_depthwise_kernel_##isa)                                                                                  \
    X(nc_conv_backward_data_depthwise_kernel_##isa)                                                                    \
    X(nc_conv_backward_weight_depthwise_kernel_##isa)                                                                  \
    X(nc_conv_backward_data_winograd_kernel_##isa)                                                                     \
    X(nc_conv_backward_weight_winograd_kernel_##isa)                                                                   \
    X(nc_conv_winograd2_kernel_##isa)                                                                                  \
    X(nc_conv_backward_data_winograd2_kernel_##isa)                                                                    \
    X(nc_conv_backward_weight_winograd2_kernel_##isa)                                                                  \
    X(nc_conv_winograd_strided_kernel_##isa)                                                                           \
    X(nc_conv_backward_data_winograd_strided_kernel_##isa)                                                             \
    X(nc_conv_backward_weight_winograd_strided_kernel_##isa)                                                           \
    X(nc_conv_direct_kernel_##isa)                                                                                     \
    X(nc_conv_backward_data_direct_kernel_##isa)                                                                       \
    X(nc_conv_backward_weight_direct_kernel_##isa)                                                                     \
    X(nc_conv_gather_kernel_##isa)                                                                                     \
    X(nc_conv_backward_data_gather_kernel_##isa)                                                                       \
    X(nc_conv_backward_weight_gather_kernel_##isa)                                                                     \
    X(nc_conv_im2col_kernel_f32_##isa)                                                                                 \
    X(nc_conv_backward_data_im2col_kernel_f32_##isa)                                                                   \
    X(nc_conv_backward_weight_im2col_kernel_f32_##isa)                                                                 \
    X(nc_conv_im2col_kernel_f64_##isa)                                                                                 \
    X(nc_conv_backward_data_im2col_kernel_f64_##isa)                                                                   \
    X(nc_conv_backward_weight_im2col_kernel_f64_##isa)                                                                 \
    X(nc_relayout_kernel_##isa)                                                                                        \
    X(nc_slice_kernel_##isa)                                                                                           \
    X(nc_slice_backward_kernel_##isa)                                                                                  \
    X(nc_pad_kernel_##isa)                                                                                             \
    X(nc_concat_kernel_##isa)                                                                                          \
    X(nc_max_pool_kernel_##isa)                                                                                        \
    X(nc_max_pool_backward_kernel_##isa)                                                                               \
    X(nc_avg_pool_kernel_##isa)                                                                                        \
    X(nc_avg_pool_backward_kernel_##isa)                                                                               \
    X(nc_sum_kernel_##isa)                                                                                             \
    X(nc_sgd_kernel_##isa)                                                                                             \
    X(nc_adam_kernel_##isa)                                                                                            \
    X(nc_nadam_kernel_##isa)                                                                                           \
    X(nc_radam_kernel_##isa)                                                                                           \
    X(nc_adamax_kernel_##isa)                                                                                          \
    X(nc_adagrad_kernel_##isa)                                                                                         \
    X(nc_adadelta_kernel_##isa)                                                                                        \
    X(nc_rmsprop_kernel_##isa)                                                                                         \
    X(nc_lion_kernel_##isa)                                                                                            \
    X(nc_lars_kernel_##isa)                                                                                            \
    X(nc_lamb_kernel_##isa)                                                                                            \
    X(nc_average_weights_kernel_##isa)                                                                                 \
    X(nc_global_norm_kernel_##isa)                                                                                     \
    X(nc_assign_kernel_##isa)                                                                                          \
    X(nc_assign_lerp_kernel_##isa)                                                                                     \
    X(nc_assign_slice_kernel_##isa)                                                                                    \
    X(nc_softmax_kernel_##isa)                                                                                         \
    X(nc_log_softmax_kernel_##isa)                                                                                     \
    X(nc_softmax_backward_kernel_##isa)                                                                                \
    X(nc_log_softmax_backward_kernel_##isa)                                                                            \
    X(nc_cross_entropy_kernel_##isa)                                                                                   \
    X(nc_cross_entropy_backward_kernel_##isa)                                                                          \
    X(nc_batch_norm_kernel_##isa)                                                                                      \
    X(nc_batch_norm_backward_kernel_##isa)                                                                             \
    X(nc_batch_norm_inference_kernel_##isa)                                                                            \
    X(nc_layer_norm_kernel_##isa)                                                                                      \
    X(nc_layer_norm_backward_kernel_##isa)                                                                             \
    X(nc_rms_norm_kernel_##isa)                                                                                        \
    X(nc_rms_norm_backward_kernel_##isa)                                                                               \
    X(nc_group_norm_kernel_##isa)                                                                                      \
    X(nc_group_norm_backward_kernel_##isa)                                                                             \
    X(nc_mean_kernel_##isa)                                                                                            \
    X(nc_max_kernel_##isa)                                                                                             \
    X(nc_min_kernel_##isa)                                                                                             \
    X(nc_adaptive_avg_pool_kernel_##isa)                                                                               \
    X(nc_adaptive_avg_pool_backward_kernel_##isa)                                                                      \
    X(nc_transpose_kernel_##isa)                                                                                       \
    X(nc_dropout_kernel_##isa)                                                                                         \
    X(nc_random_uniform_kernel_##isa)                                                                                  \
    X(nc_random_normal_kernel_##isa)                                                                                   \
    X(nc_random_bernoulli_kernel_##isa)                                                                                \
    X(nc_stack_kernel_##isa)                                                                                           \
    X(nc_attention_half_kernel_##isa)                                                                                  \
    X(nc_attention_backward_half_kernel_##isa)                                                                         \
    X(nc_attention_kernel_##isa)                                                                                       \
    X(nc_attention_backward_kernel_##isa)                                                                              \
    X(nc_lstm_kernel_##isa)                                                                                            \
    X(nc_lstm_backward_kernel_##isa)                                                                                   \
    X(nc_gru_kernel_##isa)                                                                                             \
    X(nc_gru_backward_kernel_##isa)                                                                                    \
    X(nc_rnn_kernel_##isa)                                                                                             \
    X(nc_rnn_backward_kernel_##isa)                                                                                    \
    X(nc_take_kernel_##isa)                                                                                            \
    X(nc_embedding_kernel_##isa)                                                                                       \
    X(nc_take_backward_kernel_##isa)                                                                                   \
    X(nc_elementwise_kernel_fused_##isa)                                                                               \
    NC_ELEMENTWISE_TABLE(ELEMENTWISE, X, isa)

#if defined(__x86_64__)
#define EACH_LEVEL(X) EACH_KERNEL(X, avx512) EACH_KERNEL(X, avx2) EACH_KERNEL(X, base) /* best first */
enum { LEVELS = 3 };
#else
#define EACH_LEVEL(X) EACH_KERNEL(X, base)
enum { LEVELS = 1 };
#endif

#define DECLARE(kernel) extern const nacre_kernel kernel;
#define ENTRY(kernel)   &kernel,
EACH_LEVEL(DECLARE)
static const nacre_kernel *const KERNELS[] = {EACH_LEVEL(ENTRY)};

const nacre_kernel *const *nc_cpu_kernels(int instruction_set, int *count)
{
    const int per_level = (int)(sizeof KERNELS / sizeof *KERNELS) / LEVELS;
    const int skipped = LEVELS - 1 - instruction_set;
    *count = (LEVELS - skipped) * per_level;
    return KERNELS + skipped * per_level;
}
