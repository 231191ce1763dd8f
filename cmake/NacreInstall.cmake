# cmake --install DIR --prefix WHERE: command, libraries, headers, nacre.pc, find_package(nacre), man page, completions,
# recipes.

include(CMakePackageConfigHelpers)

install(TARGETS nacre)
install(TARGETS nacre_shared nacre_static EXPORT nacreTargets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/nacre TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/nacre)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE TYPE DOC)

set(NACRE_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/nacre)
install(EXPORT nacreTargets NAMESPACE nacre:: DESTINATION ${NACRE_CMAKE_DIR})
configure_package_config_file(cmake/nacreConfig.cmake.in nacreConfig.cmake INSTALL_DESTINATION ${NACRE_CMAKE_DIR})
write_basic_package_version_file(nacreConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nacreConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/nacreConfigVersion.cmake
    DESTINATION ${NACRE_CMAKE_DIR})

# Relative, so that an installed tree can be moved.
file(RELATIVE_PATH NACRE_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" NACRE_PC_PREFIX ${NACRE_PC_PREFIX})
set(NACRE_PC_PRIVATE) # not Requires.private, which would add include folders that no header of ours needs
foreach(package ${NACRE_FOUND_PACKAGES})
    list(APPEND NACRE_PC_PRIVATE ${${package}_LDFLAGS})
endforeach()
list(REMOVE_DUPLICATES NACRE_PC_PRIVATE)
string(REPLACE ";" " " NACRE_PC_PRIVATE "${NACRE_PC_PRIVATE}")
configure_file(cmake/nacre.pc.in nacre.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nacre.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET nacre_documents)
    set(share ${CMAKE_BINARY_DIR}/share)
    install(FILES ${share}/nacre.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${share}/nacre.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME nacre)
    install(FILES ${share}/_nacre DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${share}/nacre.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
