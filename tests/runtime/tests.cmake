slm_test(search_test
  SOURCES runtime/beam_test.cc runtime/logits_test.cc runtime/sampler_test.cc
          runtime/search_golden_test.cc runtime/search_options_test.cc
          runtime/search_test.cc runtime/stop_test.cc
  LINKS slm_search)
slm_test(session_test
  SOURCES runtime/generate_test.cc runtime/session_test.cc
  LINKS slm_runtime)
