# Options, defaults and the compiler flags of every target.
option(HEED_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(HEED_BUILD_BENCHMARKS "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(HEED_BUILD_FUZZERS "Build the libFuzzer harnesses (needs clang)" OFF)
option(HEED_WARNINGS_AS_ERRORS "Treat compiler warnings as errors" ${PROJECT_IS_TOP_LEVEL})
set(HEED_SANITIZE "" CACHE STRING "Sanitizers to build with, as for -fsanitize=")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(HEED_CCACHE ccache)
if(HEED_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${HEED_CCACHE})
endif()

add_library(heed_warnings INTERFACE)
target_compile_options(heed_warnings INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
                                               -Woverloaded-virtual -Wno-missing-field-initializers
                                               $<$<BOOL:${HEED_WARNINGS_AS_ERRORS}>:-Werror>)
if(HEED_SANITIZE)
  # GCC 12 sees uninitialised members of std::function in instrumented code where there are none.
  add_compile_options(-fsanitize=${HEED_SANITIZE} -fno-omit-frame-pointer -g1)
  if(HEED_SANITIZE MATCHES undefined)
    # Checks of every access through a pointer cost compilation most (one file took 20.4 s with
    # them and 5.3 s without, at -O1); a null one ends in the address sanitizer anyway. Alignment is
    # checked where bytes become numbers: see heed_check_alignment().
    add_compile_options(-fno-sanitize=vptr,null,alignment)
  endif()
  target_compile_options(heed_warnings INTERFACE -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=${HEED_SANITIZE})
  add_library(heed_sanitizer_defaults OBJECT ${PROJECT_SOURCE_DIR}/tests/sanitizers/defaults.cpp)
else()
  add_library(heed_sanitizer_defaults INTERFACE)
endif()

# Under the undefined-behaviour sanitizer: misaligned accesses too, where raw memory is handled.
function(heed_check_alignment)
  if(NOT HEED_SANITIZE MATCHES undefined)
    return()
  endif()
  set(sources ${ARGN})
  list(FILTER sources INCLUDE REGEX "^(core|data|kernels)/")
  set_property(SOURCE ${sources} APPEND PROPERTY COMPILE_OPTIONS -fsanitize=alignment)
endfunction()

# Kernels get -O3 without the exactness that no kernel needs (errno, traps). Sums keep their order.
function(heed_tune_kernels)
  set(sources ${ARGN})
  list(FILTER sources INCLUDE REGEX "^kernels/")
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS
                              "-fno-math-errno;-fno-trapping-math;$<$<CONFIG:Release>:-O3>")
endfunction()
