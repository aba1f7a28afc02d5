# Third-party packages, all pinned here. Sources in this order: a system
# package that is new enough, an unpacked source in .deps/ (tools/dev/setup.sh
# puts it there), FetchContent with a pinned archive and hash.
include(FetchContent)
find_package(Threads REQUIRED)

# --- highway >= 1.2: SIMD. Older ones lack SumOfMulQuadAccumulate and VNNI in
# the AVX3_DL target, so a distribution's 1.0.x is not enough.
set(SLM_HIGHWAY_SOURCE "auto" CACHE STRING "auto, system or fetch")
if(NOT SLM_HIGHWAY_SOURCE STREQUAL "fetch")
  find_package(hwy 1.2 QUIET)
endif()
if(NOT TARGET hwy::hwy)
  set(HWY_ENABLE_TESTS OFF CACHE BOOL "")
  set(HWY_ENABLE_EXAMPLES OFF CACHE BOOL "")
  set(HWY_ENABLE_CONTRIB OFF CACHE BOOL "")
  set(HWY_ENABLE_INSTALL OFF CACHE BOOL "")
  set(HWY_FORCE_STATIC_LIBS ON CACHE BOOL "")
  if(EXISTS ${PROJECT_SOURCE_DIR}/.deps/highway/CMakeLists.txt AND
     NOT DEFINED FETCHCONTENT_SOURCE_DIR_HIGHWAY)
    set(FETCHCONTENT_SOURCE_DIR_HIGHWAY ${PROJECT_SOURCE_DIR}/.deps/highway)
  endif()
  FetchContent_Declare(highway
    URL https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz
    URL_HASH SHA256=7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343
    SYSTEM EXCLUDE_FROM_ALL)
  # A subdirectory of EXCLUDE_FROM_ALL keeps highway's own targets out of ours.
  FetchContent_GetProperties(highway)
  if(NOT highway_POPULATED)
    FetchContent_Populate(highway)
    add_subdirectory(${highway_SOURCE_DIR} ${highway_BINARY_DIR}
                     EXCLUDE_FROM_ALL)
  endif()
  get_target_property(slm_hwy_includes hwy INTERFACE_INCLUDE_DIRECTORIES)
  set_target_properties(hwy PROPERTIES
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${slm_hwy_includes}")
  add_library(hwy::hwy ALIAS hwy)
endif()

# --- protobuf (lite runtime, static) and onnx's schema: loader/onnx_* only.
set(Protobuf_USE_STATIC_LIBS ON)
find_package(Protobuf REQUIRED)
find_file(SLM_ONNX_PROTO NAMES onnx/onnx.proto REQUIRED
  DOC "onnx's own schema, from Debian's libonnx-dev or the onnx package")

# --- RapidJSON (headers), PCRE2 and utf8proc (static where there is one).
find_path(SLM_RAPIDJSON_INCLUDE rapidjson/rapidjson.h REQUIRED)
add_library(slm_rapidjson INTERFACE)
target_include_directories(slm_rapidjson SYSTEM INTERFACE
  ${SLM_RAPIDJSON_INCLUDE})

find_path(SLM_PCRE2_INCLUDE pcre2.h REQUIRED)
find_library(SLM_PCRE2_LIBRARY NAMES libpcre2-8.a pcre2-8 REQUIRED)
add_library(slm_pcre2 INTERFACE)
target_include_directories(slm_pcre2 SYSTEM INTERFACE ${SLM_PCRE2_INCLUDE})
target_compile_definitions(slm_pcre2 INTERFACE PCRE2_STATIC
  PCRE2_CODE_UNIT_WIDTH=8)
target_link_libraries(slm_pcre2 INTERFACE ${SLM_PCRE2_LIBRARY})

find_path(SLM_UTF8PROC_INCLUDE utf8proc.h REQUIRED)
find_library(SLM_UTF8PROC_LIBRARY NAMES libutf8proc.a utf8proc REQUIRED)
add_library(slm_utf8proc INTERFACE)
target_include_directories(slm_utf8proc SYSTEM INTERFACE
  ${SLM_UTF8PROC_INCLUDE})
target_compile_definitions(slm_utf8proc INTERFACE UTF8PROC_STATIC)
target_link_libraries(slm_utf8proc INTERFACE ${SLM_UTF8PROC_LIBRARY})

# --- command line
find_path(SLM_CXXOPTS_INCLUDE cxxopts.hpp REQUIRED)
add_library(slm_cxxopts INTERFACE)
target_include_directories(slm_cxxopts SYSTEM INTERFACE ${SLM_CXXOPTS_INCLUDE})

# --- tests and micro-benchmarks
if(SLM_DEVELOPER)
  find_package(GTest REQUIRED)
  find_package(benchmark QUIET)
endif()
