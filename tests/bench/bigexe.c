/*
 * What an executable costs before anything is read of a process: bigexe EXE prints CPU seconds and
 * peak memory until a capture could begin, and until names are at hand.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "heap/heap.h"
#include "target/dwarf.h"
#include "target/target.h"

static double cpu(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static double peak_mb(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)ru.ru_maxrss / 1e3;
}

static void must(struct err *err)
{
	if (err) {
		fprintf(stderr, "bigexe: %s\n", err->msg);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const struct dwarf_var *vars;
	struct dwarf *dwarf;
	struct image *img;
	struct heap *heap;
	struct elf *exe;
	struct err *err;
	size_t n = 0;

	if (argc != 2) {
		fputs("usage: bigexe EXE\n", stderr);
		return 2;
	}
	must(elf_open(argv[1], &exe));
	must(heap_create(exe, NULL, 0, &heap));
	must(image_create(elf_fmt(exe), &img));
	must(heap_attach(heap, NULL, img, 0));
	printf("%.3f s %.1f MB ready to capture; ", cpu(), peak_mb());
	err = dwarf_create(exe, &dwarf);
	if (err_is(err, ERR_NODEBUG)) {
		err_destroy(err);
		puts("no DWARF");
		return 0;
	}
	must(err);
	must(dwarf_globals(dwarf, &vars, &n));
	printf("%.3f s %.1f MB names ready (%zu variables)\n", cpu(), peak_mb(), n);
	dwarf_destroy(dwarf);
	heap_destroy(heap);
	image_destroy(img);
	elf_destroy(exe);
	return 0;
}
