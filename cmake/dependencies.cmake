# Everything heed stands on, from Debian's packages (tools/setup installs them).
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Protobuf REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(hwy REQUIRED)
find_package(utf8proc REQUIRED)
find_package(dnnl REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)

# Several processes, where OpenMPI (or another MPI) is installed. Its C++ bindings are not used.
find_package(MPI QUIET COMPONENTS CXX)
if(MPI_CXX_FOUND)
  set(HEED_WITH_MPI TRUE)
else()
  set(HEED_WITH_MPI FALSE)
endif()

# Several GPUs, where NCCL is installed beside CUDA and MPI, over which NCCL's ranks find each other.
option(HEED_NCCL "Use NCCL where it is installed" ON)
set(HEED_WITH_NCCL FALSE)
if(HEED_NCCL AND HEED_WITH_MPI AND HEED_WITH_CUDA)
  find_path(HEED_NCCL_INCLUDE nccl.h PATHS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(HEED_NCCL_LIBRARY nccl PATHS ${CUDAToolkit_LIBRARY_DIR})
  mark_as_advanced(HEED_NCCL_INCLUDE HEED_NCCL_LIBRARY)
  if(HEED_NCCL_INCLUDE AND HEED_NCCL_LIBRARY)
    set(HEED_WITH_NCCL TRUE)
    file(STRINGS ${HEED_NCCL_INCLUDE}/nccl.h lines REGEX "^#define NCCL_(MAJOR|MINOR|PATCH) ")
    string(REGEX MATCHALL "[0-9]+" HEED_NCCL_VERSION "${lines}")
    string(REPLACE ";" "." HEED_NCCL_VERSION "${HEED_NCCL_VERSION}")
  endif()
endif()

# Generates, compiles and adds protobuf messages; headers appear as "recipes/engine/x.pb.h".
function(heed_compile_protos target)
  foreach(proto ${ARGN})
    file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${proto})
    string(REGEX REPLACE "\\.proto$" "" stem ${relative})
    set(out ${PROJECT_BINARY_DIR}/generated/${stem}.pb)
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/generated)
    add_custom_command(OUTPUT ${out}.cc ${out}.h
                       COMMAND protobuf::protoc --cpp_out=${PROJECT_BINARY_DIR}/generated
                               -I${PROJECT_SOURCE_DIR} ${proto}
                       DEPENDS ${proto} VERBATIM)
    target_sources(${target} PRIVATE ${out}.cc ${out}.h)
    set_source_files_properties(${out}.cc PROPERTIES COMPILE_OPTIONS "-w" SKIP_LINTING ON)
  endforeach()
endfunction()
