slm_test(model_fixtures_test
  SOURCES end_to_end/model_fixtures_test.cc
  LINKS slm_runtime)
slm_test(tiny_model_test
  SOURCES end_to_end/tiny_model_test.cc
  LINKS slm_runtime)
