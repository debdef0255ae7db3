# The optional parts of Tenon, each an interface target that carries the packages its headers include. Used by
# the project itself and, installed beside tenonConfig.cmake, by find_package(tenon COMPONENTS ...).
#
#   tenon::image   decoding and encoding pictures     stb
#   tenon::io      checkpoints, JSON, compressed data nlohmann_json, zlib
#   tenon::report  plots                              cairo
#   tenon::linalg  SVD, least squares, eigenvectors   Eigen

# tenon_add_component(<name> <problem>): makes tenon::<name>. <problem> is empty, or says what to install.
function(tenon_add_component name problem)
  set(${problem} "" PARENT_SCOPE)
  if(TARGET tenon::${name})
    return()
  endif()
  set(libraries "")
  set(includes "")

  if(name STREQUAL "image")
    set(needs "stb (Debian package libstb-dev)")
    find_path(TENON_STB_INCLUDE_DIR stb/stb_image.h DOC "Folder that holds stb/stb_image.h")
    mark_as_advanced(TENON_STB_INCLUDE_DIR)
    set(found ${TENON_STB_INCLUDE_DIR})
    set(includes ${TENON_STB_INCLUDE_DIR})
  elseif(name STREQUAL "io")
    set(needs "nlohmann_json and zlib (Debian packages nlohmann-json3-dev and zlib1g-dev)")
    find_package(nlohmann_json QUIET)
    find_package(ZLIB QUIET)
    set(libraries nlohmann_json::nlohmann_json ZLIB::ZLIB)
  elseif(name STREQUAL "report")
    set(needs "cairo through pkg-config (Debian packages libcairo2-dev and pkg-config)")
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
      pkg_check_modules(TENON_CAIRO QUIET IMPORTED_TARGET cairo)
    endif()
    set(libraries PkgConfig::TENON_CAIRO)
  elseif(name STREQUAL "linalg")
    set(needs "Eigen 3.4 (Debian package libeigen3-dev)")
    find_package(Eigen3 3.4 QUIET NO_MODULE)
    set(libraries Eigen3::Eigen)
  else()
    set(${problem} "tenon has no component '${name}'; there are image, io, report, linalg and cuda"
        PARENT_SCOPE)
    return()
  endif()

  if(libraries)
    set(found TRUE)
    foreach(library IN LISTS libraries)
      if(NOT TARGET ${library})
        set(found FALSE)
      endif()
    endforeach()
  endif()
  if(NOT found)
    set(${problem} "tenon::${name} needs ${needs}, which was not found" PARENT_SCOPE)
    return()
  endif()

  add_library(tenon::${name} INTERFACE IMPORTED)
  set_target_properties(tenon::${name} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${includes}"
                                                  INTERFACE_LINK_LIBRARIES "tenon::tenon;${libraries}")
endfunction()

# tenon_find_threading(<targets>): std::thread's library.
function(tenon_find_threading targets)
  set(THREADS_PREFER_PTHREAD_FLAG TRUE)
  find_package(Threads REQUIRED)
  set(${targets} Threads::Threads PARENT_SCOPE)
endfunction()

# Imported targets end at the folder that found them; a parent project that links tenon::tenon needs them too.
function(tenon_share_imported_targets)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS imported)
    get_target_property(shared ${target} IMPORTED_GLOBAL)
    if(NOT shared)
      set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
    endif()
  endforeach()
endfunction()
