/* A small RFB server on libvncserver, for captures: it serves one viewer on
 * standard input and changes its picture once for each byte on descriptor 3.
 *
 *     cc -o desk desk.c -lvncserver
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rfb/rfb.h>

enum { WIDTH = 160, HEIGHT = 120, GROWN = 200 };

static void box(rfbScreenInfoPtr s, int x, int y, int w, int h, unsigned color)
{
	for (int j = y; j < y + h; j++)
		for (int i = x; i < x + w; i++)
			((unsigned *)s->frameBuffer)[j * s->width + i] = color;
	rfbMarkRectAsModified(s, x, y, x + w, y + h);
}

/* A picture with some of everything: one colour, a gradient, noise, few colours. */
static void picture(rfbScreenInfoPtr s)
{
	unsigned seed = 1;
	box(s, 0, 0, s->width, s->height, 0x203040);
	for (int y = 0; y < 48; y++)
		for (int x = 0; x < 64; x++) {
			seed = seed * 1103515245 + 12345;
			box(s, 90 + x, 60 + y, 1, 1, x < 32 ? seed >> 8 : (unsigned)(4 * x << 16 | 4 * y << 8 | 2 * (x + y)));
		}
	for (int i = 0; i < 12; i++)
		box(s, 4 + 6 * i, 4 + 3 * (i % 4), 4, 9, i % 3 ? 0xffffff : 0xff8000);
}

static void change(rfbScreenInfoPtr s, int step)
{
	static char shape[] = "  xx   x  x x    xx    x x  x   xx  ";
	char *grown;

	switch (step % 5) {
	case 0:
		box(s, 10, 70, 40, 30, 0xff8000);
		break;
	case 1:
		rfbDoCopyRect(s, 8, 66, 78, 110, -6, 4);
		break;
	case 2:
		rfbSetCursor(s, rfbMakeXCursor(6, 6, shape, shape));
		box(s, 0, 0, 20, 20, 0x7050ff);
		break;
	case 3:
		grown = calloc(GROWN * GROWN, 4);
		rfbNewFramebuffer(s, grown, GROWN, GROWN, 8, 3, 4);
		picture(s);
		break;
	case 4:
		box(s, 100, 10, 33, 17, 0x00c060);
		break;
	}
}

int main(int argc, char **argv)
{
	rfbScreenInfoPtr s = rfbGetScreen(&argc, argv, WIDTH, HEIGHT, 8, 3, 4);
	struct pollfd steps = { .fd = 3, .events = POLLIN };
	int step = 0;
	char byte;

	if (!s)
		return 1;
	s->frameBuffer = calloc(WIDTH * HEIGHT, 4);
	s->desktopName = "desk on libvncserver";
	s->inetdSock = 0;
	s->alwaysShared = TRUE;
	s->port = s->ipv6port = -1;
	s->deferUpdateTime = 1;
	rfbInitServer(s);
	picture(s);
	while (rfbIsActive(s)) {
		rfbProcessEvents(s, 5000);
		if (poll(&steps, 1, 0) > 0 && read(3, &byte, 1) == 1)
			change(s, step++);
		if (!s->clientHead)
			break;
	}
	return 0;
}
