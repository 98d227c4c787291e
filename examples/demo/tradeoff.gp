# gnuplot -e "folder='build/demo'" tradeoff.gp: accuracy over cost, from tradeoff.csv
set datafile separator ","
data = folder . "/tradeoff.csv"
set xlabel "share of the plain network"
set ylabel "accuracy on the test pictures (%)"
set grid
set key bottom right
set xrange [0:*]
set offsets graph 0, graph 0.05, graph 0.08, graph 0.05
stats data using 3 every ::1 name "plain" nooutput
draw = "plot plain_mean*100 with lines dashtype 2 linecolor 'gray40' title 'plain network', \
    data using 6:($2*100) every ::1 with linespoints pointtype 7 title 'measured time', \
    data using 5:($2*100) every ::1 with linespoints pointtype 5 title 'multiply-adds', \
    data using 4:($2*100) every ::1 with linespoints pointtype 9 title 'parameters'"
set terminal svg size 720,480 background "white"
set output folder . "/tradeoff.svg"
eval draw
set terminal png size 720,480
set output folder . "/tradeoff.png"
eval draw
