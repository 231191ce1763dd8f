# tests/FLOOR/test_*.c and .sh are tests, tests/fuzz/fuzz_*.c are fuzz targets, bench/bench_*.c are benchmarks: all are
# found by their names. Exit code 77 means skipped.

set(NACRE_TEST_PREFIX "" CACHE STRING "Put before the name of every test, to tell builds apart")

# Sanitizers name functions by a program of LLVM's; where it is not installed they shall not warn, as tests read stderr.
find_program(NACRE_SYMBOLIZER NAMES llvm-symbolizer llvm-symbolizer-14)
set(symbolizer $<$<BOOL:${NACRE_SYMBOLIZER}>:${NACRE_SYMBOLIZER}>)

set(NACRE_TEST_ENVIRONMENT NACRE=$<TARGET_FILE:nacre> NACRE_SOURCE=${PROJECT_SOURCE_DIR} NACRE_BUILD=${CMAKE_BINARY_DIR}
    NACRE_SANITIZERS=${NACRE_SANITIZERS}
    ASAN_SYMBOLIZER_PATH=${symbolizer}
    # cairo's font library keeps a few hundred bytes for good.
    LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/leaks.txt:print_suppressions=0)

function(nacre_add_test name)
    add_test(NAME ${NACRE_TEST_PREFIX}${name} COMMAND ${ARGN})
    set_tests_properties(${NACRE_TEST_PREFIX}${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
        ENVIRONMENT "${NACRE_TEST_ENVIRONMENT}")
endfunction()

# tests/core/test_graph.c -> name "core.graph", target test_core_graph
function(nacre_program_name source prefix name target)
    cmake_path(GET source STEM LAST_ONLY stem)
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(GET folder FILENAME folder)
    string(REGEX REPLACE "^${prefix}_" "" stem ${stem})
    set(${name} ${folder}.${stem} PARENT_SCOPE)
    set(${target} ${prefix}_${folder}_${stem} PARENT_SCOPE)
endfunction()

function(nacre_add_program target)
    add_executable(${target} ${ARGN})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
    target_link_libraries(${target} PRIVATE nacre_static nacre_options)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

file(GLOB sources CONFIGURE_DEPENDS tests/*/test_*.c)
foreach(source ${sources})
    nacre_program_name(${source} test name target)
    nacre_add_program(${target} ${source})
    if(name MATCHES "^cli\\.")
        target_link_libraries(${target} PRIVATE nacre_cli)
    endif()
    nacre_add_test(${name} ${target})
endforeach()

file(GLOB sources CONFIGURE_DEPENDS tests/*/test_*.sh)
foreach(source ${sources})
    nacre_program_name(${source} test name target)
    nacre_add_test(${name} sh ${source})
endforeach()

# Each fuzz target replays its corpus as a test in every build; with NACRE_FUZZ it is also a libFuzzer executable.
file(GLOB sources CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
foreach(source ${sources})
    cmake_path(GET source STEM target)
    string(REPLACE "fuzz_" "" name ${target})
    nacre_add_program(replay_${name} ${source} tests/fuzz/replay.c)
    nacre_add_test(fuzz.${name} replay_${name} tests/fuzz/corpus/${name})
    if(NACRE_FUZZ)
        nacre_add_program(${target} ${source})
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    endif()
endforeach()

file(GLOB sources CONFIGURE_DEPENDS bench/bench_*.c)
foreach(source ${sources})
    cmake_path(GET source STEM target)
    nacre_add_program(${target} ${source})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endforeach()

if(NOT NACRE_SANITIZERS)
    foreach(check format floors words ops shell)
        nacre_add_test(lint.${check} sh tools/lint ${check})
    endforeach()
endif()
