# How everything here is compiled. Targets take it by linking nacre_options.

option(NACRE_WERROR "Treat warnings as errors" ON)
option(NACRE_STRESS "Tiny arenas, tiles and caches, so that tests reach their edges" OFF)
option(NACRE_FUZZ "Build the libFuzzer executables too (needs clang)" OFF)
set(NACRE_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O1 -g")

find_program(CCACHE ccache)
mark_as_advanced(CCACHE)
if(CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(nacre_options INTERFACE)
target_compile_definitions(nacre_options INTERFACE _GNU_SOURCE $<$<BOOL:${NACRE_STRESS}>:NACRE_STRESS>)
target_compile_options(nacre_options INTERFACE
    -Wall -Wextra -Wshadow -Wundef -Wvla -Wpointer-arith -Wwrite-strings -Wformat=2 -Wno-format-nonliteral
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wredundant-decls -Wimplicit-fallthrough
    -Wno-missing-field-initializers
    $<$<C_COMPILER_ID:GNU>:-Wlogical-op;-Wduplicated-cond;-Wduplicated-branches;-Wno-format-truncation>
    $<$<C_COMPILER_ID:Clang>:-Wunreachable-code;-Wno-missing-braces>
    $<$<BOOL:${NACRE_WERROR}>:-Werror>
    # What the processor computes must be what the source says; only the SIMD kernels contract a*b+c.
    -fno-math-errno -ffp-contract=off
    -ffunction-sections -fdata-sections)
target_link_options(nacre_options INTERFACE -Wl,--gc-sections $<$<CONFIG:Release>:-Wl,-s>)

if(NACRE_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "NACRE_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang -DNACRE_FUZZ=ON ...")
endif()
set(NACRE_SANITIZERS ${NACRE_SANITIZE})
if(NACRE_FUZZ)
    set(NACRE_SANITIZERS address,undefined,fuzzer-no-link)
endif()
if(NACRE_SANITIZERS)
    target_compile_options(nacre_options INTERFACE
        -fsanitize=${NACRE_SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(nacre_options INTERFACE -fsanitize=${NACRE_SANITIZERS})
endif()
