slm_test(run_options_test
  SOURCES tools/run_options_test.cc
  LINKS slm_run_options)
