/* A C program around a Go library: zoo, built with -buildmode=c-shared -tags=cshared. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *idle(void *arg)
{
	static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&never); /* a thread that Go knows nothing of */
	pthread_mutex_lock(&never);
	return arg;
}

int main(int argc, char **argv)
{
	void *lib = dlopen(argv[1], RTLD_NOW);
	void (*start)(void);
	pthread_t t;

	if (!lib) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	*(void **)&start = dlsym(lib, "ZooMain");
	if (!start || pthread_create(&t, NULL, idle, NULL))
		return 1;
	start();
	return 0;
}
