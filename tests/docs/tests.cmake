# Every command and code block of every README, in what people install.
if(NOT SLM_SANITIZE)
  add_test(NAME docs_test
    COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/docs/docs_test.py
            ${CMAKE_BINARY_DIR} ${PROJECT_SOURCE_DIR} ${CMAKE_COMMAND}
            ${CMAKE_C_COMPILER} ${CMAKE_CXX_COMPILER})
endif()
