# The command. Its tables of commands and options also make the man page and the completions.

file(GLOB NACRE_COMMAND_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.c)
list(FILTER NACRE_COMMAND_SOURCES EXCLUDE REGEX "/main.c$")
add_library(nacre_cli OBJECT ${NACRE_COMMAND_SOURCES}) # apart from main, so that tests can call it
target_include_directories(nacre_cli PUBLIC ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(nacre_cli PUBLIC nacre_static PRIVATE nacre_options)

add_executable(nacre ${PROJECT_SOURCE_DIR}/src/cli/main.c)
target_link_libraries(nacre PRIVATE nacre_cli nacre_options)

set(NACRE_GENERATED)
function(nacre_generate file)
    set(path ${CMAKE_BINARY_DIR}/share/${file})
    add_custom_command(OUTPUT ${path} COMMAND nacre ${ARGN} > ${path} DEPENDS nacre VERBATIM)
    set(NACRE_GENERATED ${NACRE_GENERATED} ${path} PARENT_SCOPE)
endfunction()
if(NOT CMAKE_CROSSCOMPILING)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share)
    nacre_generate(nacre.1 help --man)
    nacre_generate(nacre.bash completion bash)
    nacre_generate(_nacre completion zsh)
    nacre_generate(nacre.fish completion fish)
    add_custom_target(nacre_documents ALL DEPENDS ${NACRE_GENERATED})
endif()
