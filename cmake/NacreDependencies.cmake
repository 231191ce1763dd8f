# docs/dependencies.md says why each is here. Without the optional ones the library says at run time what it cannot do.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

set(NACRE_REQUIRED_PACKAGES yaml-0.1 libcjson nettle)
set(NACRE_FOUND_PACKAGES) # what the library links against, as pkg-config names them
foreach(package ${NACRE_REQUIRED_PACKAGES})
    pkg_check_modules(${package} REQUIRED IMPORTED_TARGET ${package})
    list(APPEND NACRE_FOUND_PACKAGES ${package})
endforeach()

set(NACRE_HAVE) # PNG, JPEG, ...: become the definitions NACRE_HAVE_PNG, ...
foreach(optional ZLIB:zlib PNG:libpng JPEG:libjpeg ARCHIVE:libarchive CAIRO:cairo)
    string(REPLACE ":" ";" optional ${optional})
    list(GET optional 0 name)
    list(GET optional 1 package)
    pkg_check_modules(${package} IMPORTED_TARGET ${package})
    if(${package}_FOUND)
        list(APPEND NACRE_HAVE ${name})
        list(APPEND NACRE_FOUND_PACKAGES ${package})
    endif()
endforeach()

# Only its header: the library is opened when something is downloaded.
pkg_check_modules(CURL libcurl)
if(CURL_FOUND)
    list(APPEND NACRE_HAVE CURL)
endif()
