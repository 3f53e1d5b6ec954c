/*
 * mullion-config: the hypervisor's own configuration parser as a command for the build host.
 *
 * The state is the one static configuration; everything of substance is in hv/config*.c.
 */
#include "hv/config.h"
#include "scripts/devices.h"
#include "scripts/reference.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { STATUS_OK, STATUS_REFUSED, STATUS_USAGE };

static const char usage_text[] =
	"usage: mullion-config check FILE.conf [--cpus N] [--memory SIZE] [--files]\n"
	"       mullion-config dump FILE.conf\n"
	"       mullion-config files FILE.conf\n"
	"       mullion-config devices [--sysfs DIR]\n"
	"       mullion-config reference\n"
	"\n"
	"check      tells the first mistake as file:line:col: error: what; hint\n"
	"  --cpus N       the machine has CPUs 0 to N-1\n"
	"  --memory SIZE  guests may have that much in all, such as 8G\n"
	"  --files        a file that is not there is an error, not a warning\n"
	"dump       prints the configuration in canonical form, with all defaults\n"
	"files      prints the files that the configuration names, one per line, as paths from its "
	"directory\n"
	"devices    prints the PCI functions of this Linux host as lines of a configuration\n"
	"  --sysfs DIR    as the sysfs at DIR has them, not /sys\n"
	"reference  prints docs/config.md\n"
	"\n"
	"Exit status: 0 right, 1 refused, 2 wrong usage. FILE.conf may be - for standard input.\n";

static struct config config;
/* The configuration that [boot] names, or empty; and the path of the one that holds. */
static char named[MAX_FILE], holding[4096];

/* How to look for the files that a configuration names. */
struct file_check {
	bool hard; /* a missing file is an error */
};

static void put_stdout(void *ctx, const char *text)
{
	(void)ctx;
	fputs(text, stdout);
}

static int usage(const char *what, const char *word)
{
	if (what) {
		fprintf(stderr, "mullion-config: %s%s\n", what, word ? word : "");
	}
	fputs(usage_text, stderr);
	return STATUS_USAGE;
}

/* The whole file in memory of malloc; NULL: it was told why not. */
static char *read_all(const char *name, size_t *len)
{
	FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
	size_t room = 1 << 16, n;
	char *text = malloc(room);

	*len = 0;
	while (f && text && (n = fread(text + *len, 1, room - *len, f)) != 0) {
		*len += n;
		if (*len == room) {
			char *more = realloc(text, room *= 2);

			if (!more) {
				free(text);
			}
			text = more;
		}
	}
	if (!f || !text || ferror(f)) {
		fprintf(stderr, "mullion-config: %s: %s\n", name, strerror(errno));
		free(text);
		text = NULL;
	}
	if (f && f != stdin) {
		fclose(f);
	}
	return text;
}

/* The directory of a path, with its slash; 0: none. */
static int directory_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash - path) + 1 : 0;
}

static int parse_one(const char *name)
{
	struct refusal why = {0};
	size_t len;
	char *text = read_all(name, &len);
	bool ok;

	if (!text) {
		return STATUS_USAGE;
	}
	ok = config_parse(&config, name, text, len, &why);
	free(text);
	if (!ok) {
		fprintf(stderr, "%s\n", why.text);
	}
	return ok ? STATUS_OK : STATUS_REFUSED;
}

/* The configuration, and the one that its [boot] names in its place. */
static int parse_file(const char *name)
{
	int status = parse_one(name);
	struct config_place place = config.boot.config.place;

	snprintf(holding, sizeof(holding), "%s", name);
	named[0] = '\0';
	if (status != STATUS_OK || !config.boot.config.name[0]) {
		return status;
	}
	strcpy(named, config.boot.config.name);
	snprintf(holding, sizeof(holding), "%.*s%s", named[0] == '/' ? 0 : directory_length(name),
		 name, named);
	status = parse_one(holding);
	if (status == STATUS_OK && config.boot.config.name[0]) {
		fprintf(stderr,
			"%s:%u:%u: error: 'config' was followed already, from %s:%u:%u; name the "
			"last one there\n",
			holding, config.boot.config.place.line, config.boot.config.place.col, name,
			place.line, place.col);
		status = STATUS_REFUSED;
	}
	return status;
}

/* Files are named relative to the configuration. */
static bool find_file(void *ctx, const char *name, uint64_t *size)
{
	const struct file_check *check = ctx;
	int dir = name[0] != '/' ? directory_length(holding) : 0;
	char path[4096];
	struct stat st;

	if (snprintf(path, sizeof(path), "%.*s%s", dir, holding, name) < (int)sizeof(path) &&
	    stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		*size = (uint64_t)st.st_size;
		return true;
	}
	if (!check->hard) {
		fprintf(stderr, "%s: warning: file '%s' is not there yet\n", holding, name);
	}
	return !check->hard;
}

/* "8", "512M", "0x100" */
static bool parse_number(const char *text, uint64_t *out)
{
	static const char unit[] = "KMG";
	char *end;
	const char *u;

	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-') {
		return false;
	}
	if (*end && (u = strchr(unit, *end & ~0x20)) != NULL) {
		unsigned shift = 10 * ((unsigned)(u - unit) + 1);

		if (*out > UINT64_MAX >> shift) {
			return false;
		}
		*out <<= shift;
		end++;
	}
	return !*end && *out;
}

static int check(int argc, char **argv)
{
	struct file_check files = {0};
	const char *conf = NULL;
	struct config_machine machine = {
		.file_exists = find_file, .ctx = &files, .machine_name = "the given machine"};
	struct refusal why = {0};
	uint64_t cpus = 0;
	int status;

	for (int i = 0; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--files") == 0) {
			files.hard = true;
		} else if (strcmp(argv[i], "--cpus") == 0) {
			if (!parse_number(value, &cpus) || cpus > UINT32_MAX) {
				return usage("--cpus needs a number, not ", value);
			}
			machine.cpus = (unsigned)cpus;
			i++;
		} else if (strcmp(argv[i], "--memory") == 0) {
			if (!parse_number(value, &machine.memory)) {
				return usage("--memory needs a size such as 8G, not ", value);
			}
			i++;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			return usage("unknown option ", argv[i]);
		} else if (conf) {
			return usage("one file at a time; unexpected ", argv[i]);
		} else {
			conf = argv[i];
		}
	}
	if (!conf) {
		return usage("check needs a file", NULL);
	}
	status = parse_file(conf);
	if (status == STATUS_OK && !config_check_machine(&config, &machine, &why)) {
		fprintf(stderr, "%s\n", why.text);
		return STATUS_REFUSED;
	}
	return status;
}

static const struct config_file *nth_file(unsigned n)
{
	const struct config_file *f;

	for (unsigned g = 0; g < config.guests; g++) {
		for (unsigned i = 0; (f = config_file_at(&config.guest[g], i)) != NULL; i++) {
			if (n-- == 0) {
				return f;
			}
		}
	}
	return NULL;
}

/* Each name once, in the order of the file; first a configuration that [boot] names. */
static void print_files(void)
{
	const struct config_file *f, *before;

	if (named[0]) {
		puts(named);
	}
	for (unsigned n = 0; (f = nth_file(n)) != NULL; n++) {
		for (unsigned i = 0; (before = nth_file(i)) != f; i++) {
			if (strcmp(before->name, f->name) == 0) {
				break;
			}
		}
		if (before == f) {
			printf("%.*s%s\n", f->name[0] == '/' ? 0 : directory_length(named), named,
			       f->name);
		}
	}
}

static int run(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	int status;

	if (strcmp(verb, "reference") == 0 && argc == 2) {
		reference_print(stdout);
		return STATUS_OK;
	}
	if (strcmp(verb, "devices") == 0 && argc == 2) {
		return devices_print("/sys") ? STATUS_OK : STATUS_USAGE;
	}
	if (strcmp(verb, "devices") == 0 && argc == 4 && strcmp(argv[2], "--sysfs") == 0) {
		return devices_print(argv[3]) ? STATUS_OK : STATUS_USAGE;
	}
	if (strcmp(verb, "check") == 0) {
		return check(argc - 2, argv + 2);
	}
	if ((strcmp(verb, "dump") == 0 || strcmp(verb, "files") == 0) && argc == 3) {
		status = parse_file(argv[2]);
		if (status == STATUS_OK && verb[0] == 'd') {
			config_dump(&config, put_stdout, NULL);
		} else if (status == STATUS_OK) {
			print_files();
		}
		return status;
	}
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
		fputs(usage_text, stdout);
		return STATUS_OK;
	}
	return usage(argc > 1 ? "what to do with: " : NULL, verb);
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		perror("mullion-config");
		return STATUS_USAGE;
	}
	return status;
}
