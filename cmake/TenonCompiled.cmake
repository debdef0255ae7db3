# tenon::compiled: the CPU's largest kernels, compiled once into a static library instead of in every source file that
# uses them. Each declaration of backend/cpu/compiled.hpp becomes a source file, so that processors share the work.
# A program must be compiled for the processor that the library was compiled for: the same -march, if any.
set(header ${CMAKE_CURRENT_SOURCE_DIR}/include/tenon/backend/cpu/compiled.hpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
file(READ ${header} text)
string(REGEX MATCHALL "extern template [^;]+" declarations "${text}")  # without the ;, which would end a list's item

set(sources)
foreach(declaration IN LISTS declarations)
  string(REGEX REPLACE "^extern " "" instantiation "${declaration}")
  string(REGEX REPLACE ".* void ([a-z0-9_]+)\\(.*(float|double)\\*.*" "\\1_\\2" name "${instantiation}")
  set(source ${CMAKE_CURRENT_BINARY_DIR}/compiled/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
       "namespace tenon::cpu {\n@instantiation@;\n}\n")
  list(APPEND sources ${source})
endforeach()

add_library(tenon_compiled STATIC ${sources})
add_library(tenon::compiled ALIAS tenon_compiled)
target_link_libraries(tenon_compiled PUBLIC tenon)
target_compile_options(tenon_compiled PUBLIC
  $<$<COMPILE_LANGUAGE:CXX>:SHELL:-include tenon/backend/cpu/compiled.hpp>)
set_target_properties(tenon_compiled PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
