/* cpu/simd/real.h - one vocabulary for texts that are compiled for float and, with NC_DOUBLE set, for double. */
#ifndef NC_CPU_REAL_H
#define NC_CPU_REAL_H

#include "cpu/simd/simd.h"

#ifdef NC_DOUBLE
#define REAL              double
#define VECTOR            nc_vec64
#define LANES             NC_LANES64
#define LOAD              nc_load64
#define LOAD_SOME         nc_load64_some
#define STORE             nc_store64
#define STORE_SOME        nc_store64_some
#define SPLAT             nc_splat64
#define FMA               nc_fma64
#define MAX               nc_max64
#define MIN               nc_min64
#define TRANSPOSE         nc_transpose64
#define nc_isa_real(name) nc_isa(name##_f64)
#define REAL_NAME         "f64"
#else
#define REAL              float
#define VECTOR            nc_vec
#define LANES             NC_LANES
#define LOAD              nc_load
#define LOAD_SOME         nc_load_some
#define STORE             nc_store
#define STORE_SOME        nc_store_some
#define SPLAT             nc_splat
#define FMA               nc_fma
#define MAX               nc_max
#define MIN               nc_min
#define TRANSPOSE         nc_transpose
#define nc_isa_real(name) nc_isa(name##_f32)
#define REAL_NAME         "f32"
#endif

#endif
