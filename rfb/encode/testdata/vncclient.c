/* A viewer of libvncclient's for TestLibvncclient: vncclient PORT ENCODINGS FILE. After each update
   the framebuffer is in FILE, four bytes a pixel: red, green, blue, and one without a meaning. */
#include <rfb/rfbclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *file;

static rfbBool resized(rfbClient *c)
{
	free(c->frameBuffer);
	c->frameBuffer = calloc((size_t)c->width * c->height, 4);
	return c->frameBuffer != NULL;
}

static void finished(rfbClient *c)
{
	char part[4096];
	FILE *f;

	snprintf(part, sizeof part, "%s.part", file);
	f = fopen(part, "wb");
	if (f == NULL || fwrite(c->frameBuffer, 4, (size_t)c->width * c->height, f) != (size_t)c->width * c->height
	    || fclose(f) != 0 || rename(part, file) != 0)
		exit(3);
}

int main(int argc, char **argv)
{
	rfbClient *c = rfbGetClient(8, 3, 4);

	if (argc != 4 || c == NULL)
		return 2;
	file = argv[3];
	c->serverHost = strdup("127.0.0.1");
	c->serverPort = atoi(argv[1]);
	c->appData.encodingsString = argv[2];
	c->appData.qualityLevel = 6;
	c->appData.compressLevel = 2;
	c->appData.enableJPEG = TRUE;
	c->appData.useRemoteCursor = TRUE;
	c->canHandleNewFBSize = TRUE;
	c->MallocFrameBuffer = resized;
	c->FinishedFrameBufferUpdate = finished;
	if (!rfbInitClient(c, NULL, NULL))
		return 1;
	for (;;)
		if (WaitForMessage(c, 1000000) < 0 || !HandleRFBServerMessage(c))
			return 1;
}
