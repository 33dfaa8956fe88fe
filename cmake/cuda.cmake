# CUDA, where its compiler is installed: kernels for the architectures of HEED_CUDA_ARCHITECTURES.
option(HEED_CUDA "Build for CUDA devices where nvcc is installed" ON)
set(HEED_CUDA_ARCHITECTURES "80;90a" CACHE STRING "Compute capabilities that kernels are compiled for")
set(HEED_WITH_CUDA FALSE)
if(HEED_CUDA)
  find_program(HEED_NVCC nvcc PATHS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
  mark_as_advanced(HEED_NVCC)
  if(HEED_NVCC)
    set(CMAKE_CUDA_COMPILER ${HEED_NVCC})
    set(CMAKE_CUDA_ARCHITECTURES OFF)  # this version of CMake knows no "90a": flags say it
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    if(HEED_CCACHE)
      set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
    endif()
    set(HEED_WITH_CUDA TRUE)
  endif()
endif()

# The sources of CUDA builds: .cu files for nvcc, core/cuda/ and kernels/cuda/ for the host compiler.
file(GLOB_RECURSE HEED_CUDA_KERNELS CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} kernels/*.cu)
file(GLOB_RECURSE HEED_CUDA_HOST_SOURCES CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
     core/cuda/*.cpp kernels/cuda/*.cpp)

# Adds them to the library.
function(heed_add_cuda target)
  add_library(heed_cuda OBJECT ${HEED_CUDA_KERNELS} ${HEED_CUDA_HOST_SOURCES})
  target_compile_features(heed_cuda PRIVATE cxx_std_20)
  target_include_directories(heed_cuda PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(heed_cuda PRIVATE fmt::fmt CUDA::cudart)
  # The vendor's libraries are opened by the first op that needs them (core/shared_library.h).
  set_source_files_properties(kernels/cuda/library_cublaslt.cpp kernels/cuda/library_cufft.cpp
                              PROPERTIES COMPILE_DEFINITIONS
                              HEED_CUDA_LIBRARIES="${CUDAToolkit_LIBRARY_DIR}")
  target_compile_options(heed_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow>)
  foreach(architecture ${HEED_CUDA_ARCHITECTURES})
    target_compile_options(heed_cuda PRIVATE
      "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-gencode=arch=compute_${architecture},code=sm_${architecture}>")
  endforeach()
  if("90a" IN_LIST HEED_CUDA_ARCHITECTURES)
    set_source_files_properties(kernels/attention/cuda/hopper/choice.cu PROPERTIES
                                COMPILE_DEFINITIONS HEED_HOPPER_KERNELS)
  endif()
  target_compile_options(heed_cuda PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-std=c++20 --expt-relaxed-constexpr -Xcompiler=-Wall -Xcompiler=-Wextra>")
  if(HEED_WARNINGS_AS_ERRORS)
    target_compile_options(heed_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>
                           "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror=all-warnings>")
  endif()
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:heed_cuda>)
  target_link_libraries(${target} PRIVATE CUDA::cudart ${CMAKE_DL_LIBS})
  set_source_files_properties(core/device_runtime.cpp PROPERTIES COMPILE_DEFINITIONS HEED_WITH_CUDA)
endfunction()
