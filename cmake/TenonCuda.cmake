# tenon::cuda: the kernels of kernels/, compiled by nvcc into a static library, with cuBLAS, cuBLASLt and cuDNN.
# What a user includes is plain C++; nothing but this library needs nvcc. Missing parts stop the configuration.

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(TENON_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(TENON_NVCC)
  if(NOT TENON_NVCC)
    message(FATAL_ERROR "TENON_CUDA is ON and no nvcc was found: install NVIDIA's CUDA toolkit (12 or newer) "
                        "and put nvcc on the PATH, or name it with -DCMAKE_CUDA_COMPILER=/path/to/nvcc")
  endif()
  set(CMAKE_CUDA_COMPILER ${TENON_NVCC})
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75 80 90 CACHE STRING "GPU architectures to compile for")
endif()
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.25.2 does not know that nvcc 12 takes it
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()

find_package(CUDAToolkit QUIET)
foreach(library cudart cublas cublasLt)
  if(NOT TARGET CUDA::${library})
    message(FATAL_ERROR "TENON_CUDA is ON and lib${library} was not found beside ${CMAKE_CUDA_COMPILER}: "
                        "install the runtime and cuBLAS development packages of the CUDA toolkit")
  endif()
endforeach()
find_package(CUDNN 9)
if(NOT CUDNN_FOUND)
  message(FATAL_ERROR "TENON_CUDA is ON and cuDNN 9 was not found: install it (NVIDIA's package "
                      "libcudnn9-dev-cuda-12 or -13), or name its folder with -DCUDNN_ROOT=/path")
endif()

file(GLOB kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/*.cu)
if(NOT kernels)
  message(FATAL_ERROR "TENON_CUDA is ON and ${CMAKE_CURRENT_SOURCE_DIR}/kernels has no .cu file")
endif()
add_library(tenon_cuda STATIC ${kernels})
add_library(tenon::cuda ALIAS tenon_cuda)
set_target_properties(tenon_cuda PROPERTIES EXPORT_NAME cuda CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON
                                            CUDA_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
target_compile_options(tenon_cuda PRIVATE --expt-relaxed-constexpr --extended-lambda)
target_link_libraries(tenon_cuda PUBLIC tenon CUDA::cudart CUDA::cublas CUDA::cublasLt CUDNN::cudnn)
