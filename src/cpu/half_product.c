/* cpu/half_product.c - what the processor can do with 16-bit numbers. */
#include "cpu/half_product.h"

#include <string.h>

bool nc_has_bf16_pairs(void)
{
    return strstr(nacre_machine_info()->features, "avx512bf16") != NULL;
}
