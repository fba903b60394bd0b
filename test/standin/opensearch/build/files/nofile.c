/* Answers for the limit of open files on a machine that refuses the 65,535 that OpenSearch demands. The front loads it there,
 * and there only. What the kernel really allows stays as it is. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WANTED 65535

struct limits { unsigned long long soft, hard; };

static int kernel(int resource, const struct limits *set, struct limits *get)
{
	return (int)syscall(SYS_prlimit64, 0, resource, set, get);
}

static int get(int resource, struct limits *limits)
{
	int failed = kernel(resource, 0, limits);
	if (failed == 0 && resource == RLIMIT_NOFILE) {
		if (limits->soft < WANTED)
			limits->soft = WANTED;
		if (limits->hard < WANTED)
			limits->hard = WANTED;
	}
	return failed;
}

static int set(int resource, const struct limits *limits)
{
	struct limits real, asked = *limits;
	if (resource == RLIMIT_NOFILE && kernel(resource, 0, &real) == 0) {
		if (asked.hard > real.hard)
			asked.hard = real.hard;
		if (asked.soft > asked.hard)
			asked.soft = asked.hard;
	}
	return kernel(resource, &asked, 0);
}

/* On 64 bits, struct rlimit and struct rlimit64 are the two numbers that the kernel has. */
int getrlimit(__rlimit_resource_t resource, struct rlimit *limits) { return get(resource, (struct limits *)limits); }
int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limits) { return get(resource, (struct limits *)limits); }
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limits) { return set(resource, (const struct limits *)limits); }
int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limits) { return set(resource, (const struct limits *)limits); }
