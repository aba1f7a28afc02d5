slm_test(search_test
  SOURCES runtime/beam_test.cc runtime/draft_length_test.cc
          runtime/logits_test.cc runtime/sampler_test.cc
          runtime/search_golden_test.cc runtime/search_options_test.cc
          runtime/search_test.cc runtime/stop_test.cc
  LINKS slm_search)
slm_test(json_mask_test
  SOURCES runtime/json_acceptor_test.cc runtime/json_mask_test.cc
  LINKS slm_search slm_tokenizer)
slm_test(guide_test
  SOURCES runtime/guide_test.cc
  LINKS slm_runtime)
slm_test(session_test
  SOURCES runtime/generate_test.cc runtime/long_prompt_test.cc
          runtime/session_test.cc
  LINKS slm_runtime)
# slm.h as C99 and slm.hpp as C++17, as they promise.
set_source_files_properties(runtime/c_api_c99_test.c PROPERTIES
  COMPILE_OPTIONS "-std=c99;-pedantic")
slm_test(c_api_test
  SOURCES runtime/c_api_test.cc runtime/c_api_c99_test.c
  LINKS slm_runtime)
set_target_properties(c_api_test PROPERTIES CXX_STANDARD 17)

# Figures, not checks.
if(benchmark_FOUND)
  add_executable(sampler_benchmark runtime/sampler_benchmark.cc)
  target_link_libraries(sampler_benchmark PRIVATE slm_search
    benchmark::benchmark)
  slm_warnings(sampler_benchmark)
  add_executable(json_mask_benchmark runtime/json_mask_benchmark.cc)
  target_link_libraries(json_mask_benchmark PRIVATE slm_search slm_tokenizer
    benchmark::benchmark)
  slm_warnings(json_mask_benchmark)
endif()
