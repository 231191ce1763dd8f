# libnacre: one set of objects, archived and linked. Only what the headers mark NACRE_API leaves the shared library.

set(NACRE_FLOORS core ops cpu nn data train zoo formats explain attack rl hub serve)
set(NACRE_PATTERNS)
foreach(floor ${NACRE_FLOORS})
    list(APPEND NACRE_PATTERNS ${PROJECT_SOURCE_DIR}/src/${floor}/*.c)
endforeach()
file(GLOB_RECURSE NACRE_SOURCES CONFIGURE_DEPENDS ${NACRE_PATTERNS})
list(FILTER NACRE_SOURCES EXCLUDE REGEX "/src/cpu/simd/")

add_library(nacre_objects OBJECT ${NACRE_SOURCES})
target_include_directories(nacre_objects PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(nacre_objects PRIVATE NACRE_SHARED)
target_link_libraries(nacre_objects PRIVATE nacre_options)
foreach(name ${NACRE_HAVE})
    target_compile_definitions(nacre_objects PRIVATE NACRE_HAVE_${name})
endforeach()
set(NACRE_LINKED)
foreach(package ${NACRE_FOUND_PACKAGES})
    list(APPEND NACRE_LINKED PkgConfig::${package})
endforeach()
target_link_libraries(nacre_objects PRIVATE ${NACRE_LINKED})
if(CURL_FOUND)
    target_include_directories(nacre_objects PRIVATE ${CURL_INCLUDE_DIRS})
endif()
set(NACRE_OBJECTS $<TARGET_OBJECTS:nacre_objects>)

# One source, compiled once per instruction set and chosen at run time; simd.h gives each copy its own names.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(NACRE_ISAS base avx2 avx512)
    set(NACRE_FLAGS_base -march=x86-64-v2)
    set(NACRE_FLAGS_avx2 -march=x86-64-v3 -ffp-contract=fast)
    set(NACRE_FLAGS_avx512 -march=x86-64-v4 -ffp-contract=fast -mprefer-vector-width=512)
else()
    set(NACRE_ISAS base)
    set(NACRE_FLAGS_base -ffp-contract=fast)
endif()
file(GLOB NACRE_SIMD_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cpu/simd/*.c)
# Random numbers have the same bits everywhere: no multiplication is joined to the addition after it.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/cpu/simd/random.c PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
# Clang takes minutes to compile unrolled tiles whose index arithmetic it checks for overflow.
if(NACRE_SANITIZERS)
    set_source_files_properties(${PROJECT_SOURCE_DIR}/src/cpu/simd/tile_f32.c ${PROJECT_SOURCE_DIR}/src/cpu/simd/tile_f64.c
        PROPERTIES COMPILE_OPTIONS -fno-sanitize=signed-integer-overflow)
endif()
if(NACRE_SIMD_SOURCES)
    foreach(isa ${NACRE_ISAS})
        add_library(nacre_simd_${isa} OBJECT ${NACRE_SIMD_SOURCES})
        target_include_directories(nacre_simd_${isa} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
        target_compile_definitions(nacre_simd_${isa} PRIVATE NC_ISA=${isa} NC_ISA_${isa} NACRE_SHARED)
        target_link_libraries(nacre_simd_${isa} PRIVATE nacre_options)
        target_compile_options(nacre_simd_${isa} PRIVATE ${NACRE_FLAGS_${isa}} $<$<CONFIG:Release>:-O3>)
        list(APPEND NACRE_OBJECTS $<TARGET_OBJECTS:nacre_simd_${isa}>)
    endforeach()
endif()

set(NACRE_SYSTEM Threads::Threads m ${CMAKE_DL_LIBS})
add_library(nacre_static STATIC ${NACRE_OBJECTS})
set_target_properties(nacre_static PROPERTIES OUTPUT_NAME nacre EXPORT_NAME nacre_static)
target_link_libraries(nacre_static PUBLIC ${NACRE_LINKED} ${NACRE_SYSTEM})

add_library(nacre_shared SHARED ${NACRE_OBJECTS})
# Until 1.0 every minor version may change the binary interface.
set_target_properties(nacre_shared PROPERTIES OUTPUT_NAME nacre EXPORT_NAME nacre VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_link_libraries(nacre_shared PRIVATE nacre_options ${NACRE_LINKED} ${NACRE_SYSTEM})
if(NOT NACRE_SANITIZERS) # their run time is found in the program that loads us
    target_link_options(nacre_shared PRIVATE -Wl,--no-undefined)
endif()

foreach(library nacre_static nacre_shared)
    target_include_directories(${library} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
add_library(nacre::nacre ALIAS nacre_shared)
add_library(nacre::nacre_static ALIAS nacre_static)
